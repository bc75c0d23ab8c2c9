/* SPDX-License-Identifier: MIT */
/** The request side (row C18), and text in error messages. */
#include "proto/h1.h"
#include "proto/text.h"
#include "tap.h"

#include <string.h>

static void test_tokens(void **state)
{
    (void)state;
    static const char allowed[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (int c = 0; c < 256; c++) {
        bool wanted = c != 0 && strchr(allowed, c) != NULL;
        for (size_t at = 0; at < 11; at++) { /* they are looked at four at a time */
            char s[] = "abcdefghijk";
            s[at] = (char)c;
            assert_int_equal(ad_h1_is_token(s, 11), wanted);
        }
    }
    assert_false(ad_h1_is_token("", 0));
    assert_true(ad_h1_is_token("Content-Type", 12));
}

static void test_values(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char s[3] = {'a', (char)c, 'b'};
        bool wanted = c == '\t' || (c >= 0x20 && c != 0x7f);
        assert_int_equal(ad_h1_is_field_value(s, 3), wanted);
    }
    assert_true(ad_h1_is_field_value("", 0));
}

static void check_escape(const char *from, size_t bytes, size_t room, const char *wanted)
{
    char out[64];
    memset(out, 'X', sizeof out);
    ad_text_escape(from, bytes, out, room);
    assert_string_equal(out, wanted);
    assert_int_equal(out[room], 'X');
}

static void test_escape(void **state)
{
    (void)state;
    check_escape("", 0, 8, "");
    check_escape("abcdefg", 7, 8, "abcdefg");
    check_escape("abcdefgh", 8, 8, "abcd...");
    check_escape("a\r\n\t\"\\\0\x7f\xff", 9, 40, "a\\r\\n\\t\\\"\\\\\\x00\\x7f\\xff");
    check_escape("abc\xff", 4, 8, "abc\\xff");
    check_escape("abcd\xff", 5, 8, "abcd...");
    check_escape("\xff\xff", 2, 8, "\\xff...");
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"C18: a token holds token bytes only", test_tokens, 0, 0, 0},
        {"C18: a field value holds no control bytes but HTAB", test_values, 0, 0, 0},
        {"foreign bytes are shown escaped and cut", test_escape, 0, 0, 0},
    };
    return TAP_RUN(cases, NULL, NULL);
}
