/* SPDX-License-Identifier: MIT */
/* Names, file names, and the word that selects a runtime. */
#include "plugin/name.h"

#include "tap.h"

#include <string.h>

static void accepts(const char *name)
{
    if (!ad_name_valid(ad_slice_of(name))) {
        fail_msg("'%s' was refused", name);
    }
}

static void refuses(const char *name)
{
    if (ad_name_valid(ad_slice_of(name))) {
        fail_msg("'%s' was accepted", name);
    }
}

static void test_grammar(void **state)
{
    (void)state;
    accepts("a");
    accepts("0");
    accepts("libev");
    accepts("my-loop_2");
    accepts("abcdefghijklmnopqrstuvwxyz012345"); /* 32 */
    refuses("abcdefghijklmnopqrstuvwxyz0123456");
    refuses("");
    refuses("X");
    refuses("libEv");
    refuses("-a");
    refuses("_a");
    refuses("../x");
    refuses("a/b");
    refuses("a.b");
    refuses("a b");
    refuses("\xc3\xa4");
}

static void test_no_other_byte(void **state)
{
    (void)state;
    const char *good = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    for (int c = 1; c < 256; c++) {
        char name[3] = {'a', (char)c, '\0'};
        assert_int_equal(ad_name_valid(ad_slice_of(name)), strchr(good, c) != NULL);
    }
    assert_false(ad_name_valid((struct ad_slice){"a\0b", 3}));
}

static void test_file(void **state)
{
    (void)state;
    struct ad_slice name = ad_name_of_file(AD_KIND_RUNTIME, "libaioduct-rt-libev.so");
    assert_true(ad_slice_equal(name, ad_slice_of("libev")));
    assert_null(ad_name_of_file(AD_KIND_RUNTIME, "libaioduct-rt-libev.so.1").p);
    assert_null(ad_name_of_file(AD_KIND_RUNTIME, "libaioduct-cx-libev.so").p);
    assert_null(ad_name_of_file(AD_KIND_RUNTIME, "aioduct-rt-libev.so").p);
    assert_null(ad_name_of_file(AD_KIND_RUNTIME, "").p);
    assert_null(ad_name_of_file(AD_KIND_RUNTIME, "libaioduct-rt-").p);
    assert_int_equal(ad_name_of_file(AD_KIND_RUNTIME, "libaioduct-rt-.so").bytes, 0);
}

static void expect_names(const char *word, const char *joined)
{
    struct ad_choice choice;
    struct aioduct_error error = {0};
    char got[640] = "";
    int code = ad_choice_parse(word, &choice, &error);
    if (code != 0) {
        fail_msg("'%s': %s", word, error.message);
    }
    assert_null(choice.path);
    for (unsigned i = 0; i < choice.count; i++) {
        strcat(got, i == 0 ? "" : " ");
        strcat(got, choice.names[i]);
    }
    assert_string_equal(got, joined);
}

static void test_words(void **state)
{
    (void)state;
    struct ad_choice choice;
    expect_names("libev", "libev");
    expect_names("uring,libev", "uring libev");
    expect_names(" uring , libev ", "uring libev");
    expect_names("auto", "uring libev libevent epoll");
    expect_names(NULL, "uring libev libevent epoll");
    expect_names("mine,auto", "mine uring libev libevent epoll");
    expect_names("epoll,auto", "epoll uring libev libevent");

    assert_int_equal(ad_choice_parse("libev", &choice, NULL), 0);
    assert_true(choice.order && !choice.automatic);
    assert_int_equal(ad_choice_parse("libev,epoll", &choice, NULL), 0);
    assert_true(!choice.order && !choice.automatic);
    assert_int_equal(ad_choice_parse(" auto", &choice, NULL), 0);
    assert_true(!choice.order && choice.automatic);
}

static void test_paths(void **state)
{
    (void)state;
    struct ad_choice choice;
    assert_int_equal(ad_choice_parse("/opt/a,b/libaioduct-rt-x.so", &choice, NULL), 0);
    assert_string_equal(choice.path, "/opt/a,b/libaioduct-rt-x.so");
    assert_true(choice.order);
}

static void expect_refused(const char *word, const char *why)
{
    struct ad_choice choice;
    struct aioduct_error error = {0};
    assert_int_equal(ad_choice_parse(word, &choice, &error), AIODUCT_E_PLUGIN_NAME);
    if (strstr(error.message, why) == NULL) {
        fail_msg("'%s' is refused with '%s', which does not say '%s'", word, error.message, why);
    }
    assert_non_null(strstr(error.hint, "[a-z0-9]"));
    assert_int_equal(error.phase, AIODUCT_PHASE_SETUP);
}

static void test_refusals(void **state)
{
    (void)state;
    expect_refused("", "'' is not the name of a runtime");
    expect_refused("../x", "'../x' is a relative path");
    expect_refused("./libaioduct-rt-x.so", "is a relative path");
    expect_refused("X", "'X' is not the name of a runtime");
    expect_refused("abcdefghijklmnopqrstuvwxyz0123456", "is not the name of a runtime");
    expect_refused("uring,,libev", "has an empty element");
    expect_refused("uring,", "has an empty element");
    expect_refused("uring,Libev", "'Libev' is not the name of a runtime");
    expect_refused("uring,/x/libaioduct-rt-x.so", "is a path inside a list");
    expect_refused("/opt/x.so", "libaioduct-rt-<name>.so");
    expect_refused("/opt/libaioduct-rt-X.so", "libaioduct-rt-<name>.so");
    expect_refused("/", "libaioduct-rt-<name>.so");
    expect_refused("a\nb", "'a?b'");
    expect_refused("a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q", "more than 16");
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"a name is [a-z0-9][a-z0-9_-]{0,31}", test_grammar, NULL, NULL, NULL},
        {"no other byte is let into a name", test_no_other_byte, NULL, NULL, NULL},
        {"a file's name holds the runtime's", test_file, NULL, NULL, NULL},
        {"a word is a name, a list, or auto, and lists hold a name once", test_words, NULL, NULL,
         NULL},
        {"a word that starts with a slash is one path, commas included", test_paths, NULL, NULL,
         NULL},
        {"a malformed word is refused with the reason", test_refusals, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, NULL, NULL);
}
