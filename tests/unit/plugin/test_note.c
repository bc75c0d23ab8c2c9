/* SPDX-License-Identifier: MIT */
/* The text of the ELF note. */
#include "plugin/note.h"
#include "plugin/registry.h"

#include "tap.h"

#include <string.h>

static const char good_text[] = "abi=1.0;needs=0;name=libev;caps=runtime,poll,connector";

static void test_good(void **state)
{
    (void)state;
    struct ad_note note;
    assert_null(ad_note_parse(good_text, sizeof good_text, &note));
    assert_int_equal(note.abi_major, 1);
    assert_int_equal(note.abi_minor, 0);
    assert_int_equal(note.needs, 0);
    assert_string_equal(note.name, "libev");
    assert_int_equal(note.caps, AD_CAP_RUNTIME | AD_CAP_POLL | AD_CAP_CONNECTOR);
    /* Without the NUL byte, and with padding behind it. */
    assert_null(ad_note_parse(good_text, sizeof good_text - 1, &note));
    assert_null(ad_note_parse("name=x;caps=runtime;abi=1.7;needs=5\0\0\0", 38, &note));
    assert_int_equal(note.abi_minor, 7);
    assert_int_equal(note.needs, 5);
}

static void test_later(void **state)
{
    (void)state;
    struct ad_note note;
    const char *text = "abi=1.9;needs=0;colour=blue;name=x;caps=runtime,teleport,local";
    assert_null(ad_note_parse(text, strlen(text), &note));
    assert_int_equal(note.caps, AD_CAP_RUNTIME | AD_CAP_LOCAL);
    text = "abi=2.0;quite different";
    assert_null(ad_note_parse(text, strlen(text), &note));
    assert_int_equal(note.abi_major, 2);
    assert_string_equal(note.name, "");
}

static void refused(const char *text, const char *why)
{
    struct ad_note note;
    const char *wrong = ad_note_parse(text, strlen(text), &note);
    if (wrong == NULL || strstr(wrong, why) == NULL) {
        fail_msg("'%s' gives '%s', not '%s'", text, wrong == NULL ? "good" : wrong, why);
    }
}

static void test_bad(void **state)
{
    (void)state;
    refused("", "does not say all of");
    refused("abi=1.0;needs=0;name=x", "does not say all of");
    refused("needs=0;name=x;caps=runtime", "does not say all of");
    refused("abi", "not a list of key=value pairs");
    refused("=1", "not a list of key=value pairs");
    refused("abi=1.0;;needs=0", "not a list of key=value pairs");
    refused("abi=1", "its abi");
    refused("abi=1.", "its abi");
    refused("abi=.0", "its abi");
    refused("abi=1.0.0", "its abi");
    refused("abi=1.65536", "its abi");
    refused("abi=-1.0", "its abi");
    refused("abi=1.0;needs=", "its needs");
    refused("abi=1.0;needs=x", "its needs");
    refused("abi=1.0;needs=0;name=../x", "its name");
    refused("abi=1.0;needs=0;name=", "its name");
    refused("abi=1.0;needs=0;name=abcdefghijklmnopqrstuvwxyz0123456", "its name");
    refused("abi=1.0;needs=0;name=x;caps=", "its caps");
    refused("abi=1.0;needs=0;name=x;caps=teleport", "its caps");
    refused("abi=1.0;needs=0;name=x;caps=runtime,,poll", "its caps");
    refused("abi=1.0;abi=1.0", "same key twice");
    refused("abi=1.0;name=x;name=y", "same key twice");
}

/* Every text that differs in one byte is parsed or refused; sanitizers watch. */
static void test_any_byte(void **state)
{
    (void)state;
    struct ad_note note;
    for (size_t i = 0; i < sizeof good_text; i++) {
        for (int c = 0; c < 256; c++) {
            char text[sizeof good_text];
            memcpy(text, good_text, sizeof text);
            text[i] = (char)c;
            if (ad_note_parse(text, sizeof text, &note) == NULL && note.abi_major == 1) {
                assert_true(ad_name_valid(ad_slice_of(note.name)));
            }
        }
        ad_note_parse(good_text, i, &note);
    }
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"a note says abi, needs, name and caps, in any order", test_good, NULL, NULL, NULL},
        {"later keys, capabilities and majors are no error", test_later, NULL, NULL, NULL},
        {"a malformed note is refused with the reason", test_bad, NULL, NULL, NULL},
        {"any changed byte and any length is survived", test_any_byte, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, NULL, NULL);
}
