/* SPDX-License-Identifier: MIT */
/* Pointers that lead somewhere, and pointers that lead nowhere. */
#include "plugin/mapped.h"

#include "tap.h"

#include <stdlib.h>
#include <string.h>

static const char text[] = "a text";
static const char *const texts[] = {text, "another", NULL};
static const struct {
    const char *list[2];
    const char unended[16];
} bad = {{text, (const char *)8}, "0123456789abcdef"};
static int object;

/* Long enough to have a middle. */
static int function(int a)
{
    volatile int sum = a;
    for (int i = 0; i < a; i++) {
        sum += i * a;
    }
    return sum;
}

static ad_any_fn as_function(const void *at)
{
    ad_any_fn fn;
    memcpy(&fn, &at, sizeof fn);
    return fn;
}

static const void *code(size_t offset)
{
    int (*fn)(int) = function;
    const char *at;
    memcpy(&at, &fn, sizeof at);
    return at + offset;
}

static void test_bytes(void **state)
{
    (void)state;
    char *heap = malloc(8);
    assert_true(ad_mapped_bytes(text) >= sizeof text);
    assert_true(ad_mapped_bytes(&object) >= sizeof object);
    assert_int_equal(ad_mapped_bytes(NULL), 0);
    assert_int_equal(ad_mapped_bytes((const void *)8), 0);
    assert_int_equal(ad_mapped_bytes((const void *)UINTPTR_MAX), 0);
    assert_int_equal(ad_mapped_bytes(heap), 0);
    assert_int_equal(ad_mapped_bytes(&heap), 0);
    free(heap);
}

static void test_texts(void **state)
{
    (void)state;
    assert_true(ad_mapped_text(text));
    assert_false(ad_mapped_text((const char *)8));
    assert_true(ad_mapped_texts(texts));
    assert_true(ad_mapped_texts(texts + 2));
    assert_false(ad_mapped_texts(bad.list));
    assert_false(ad_mapped_texts((const char *const *)8));
    assert_false(ad_mapped_texts((const char *const *)((uintptr_t)texts + 1)));
}

static void test_functions(void **state)
{
    (void)state;
    assert_true(function(3) > 0);
    assert_null(ad_mapped_function(as_function(code(0)), texts));
    assert_non_null(ad_mapped_function(as_function((const void *)8), texts));
    assert_null(ad_mapped_function((ad_any_fn)abort, texts));
    assert_null(ad_mapped_own_function(as_function(code(0)), texts));
    assert_non_null(ad_mapped_own_function(as_function((const void *)8), texts));
#if defined(__x86_64__) || defined(__aarch64__)
    assert_non_null(ad_mapped_function(as_function(&object), texts));
    assert_string_equal(ad_mapped_function(as_function(code(8)), texts),
                        "leads into the middle of a function");
    assert_string_equal(ad_mapped_own_function((ad_any_fn)abort, texts), "leads out of the file");
    const void *library;
    ad_any_fn fn = (ad_any_fn)abort;
    memcpy(&library, &fn, sizeof library);
    assert_non_null(ad_mapped_function(as_function((const char *)library + 4), texts));
#endif
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"memory of loaded objects is known, all other is not", test_bytes, NULL, NULL, NULL},
        {"texts and lists end", test_texts, NULL, NULL, NULL},
        {"a function begins where it begins", test_functions, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, NULL, NULL);
}
