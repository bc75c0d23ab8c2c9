/* SPDX-License-Identifier: MIT */
/* core/base: buffers, slices, lists, errors, failing allocations. */
#include "base/buf.h"
#include "base/error.h"
#include "base/escape.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/slice.h"
#include "base/thread.h"

#include <tap.h>

#include <errno.h>
#include <signal.h>
#include <string.h>

static void a_buffer_keeps_bytes_in_order_while_it_moves_and_grows(void **state)
{
    (void)state;
    struct ad_buf b = {0};
    uint8_t next_in = 0, next_out = 0;
    for (int round = 0; round < 2000; round++) {
        size_t in = (size_t)(round * 37 % 701);
        uint8_t *to = ad_buf_reserve(&b, in + 1);
        assert_non_null(to);
        for (size_t i = 0; i < in; i++) {
            to[i] = next_in++;
        }
        ad_buf_commit(&b, in);
        size_t out = ad_buf_bytes(&b) * 2 / 3;
        for (size_t i = 0; i < out; i++) {
            assert_int_equal(ad_buf_data(&b)[i], next_out++);
        }
        ad_buf_consume(&b, out);
    }
    assert_true(b.capacity <= 8192);
    ad_buf_fini(&b);
    assert_null(b.block);
}

static void an_append_that_cannot_allocate_changes_nothing(void **state)
{
    (void)state;
    struct ad_buf b = {0};
    char block[4096] = {0};
    assert_int_equal(ad_buf_append_str(&b, "kept"), 0);
    ad_mem_fail_nth(1);
    assert_int_equal(ad_buf_append(&b, block, sizeof block), -ENOMEM);
    ad_mem_fail_nth(0);
    assert_int_equal(ad_buf_bytes(&b), 4);
    assert_memory_equal(ad_buf_data(&b), "kept", 4);
    ad_buf_fini(&b);
}

static void numbers_are_digits_within_a_limit(void **state)
{
    (void)state;
    static const char *const bad[] = {"",   "+5", "-1", "5 ", " 5", "0x5", "18446744073709551616",
                                      "5,5"};
    uint64_t value = 7;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(ad_slice_to_u64(ad_slice_of(bad[i]), UINT64_MAX, &value), -EINVAL);
        assert_int_equal(value, 7);
    }
    assert_int_equal(ad_slice_to_u64(ad_slice_of("18446744073709551615"), UINT64_MAX, &value), 0);
    assert_true(value == UINT64_MAX);
    assert_int_equal(ad_slice_to_u64(ad_slice_of("100"), 100, &value), 0);
    assert_int_equal(ad_slice_to_u64(ad_slice_of("101"), 100, &value), -EINVAL);
    assert_int_equal(ad_slice_to_u64(ad_slice_of("9"), 5, &value), -EINVAL);
}

static void tokens_are_found_in_lists_whatever_their_case(void **state)
{
    (void)state;
    struct ad_slice list = ad_slice_of("Keep-Alive ,\tCLOSE, upgrade");
    assert_true(ad_slice_list_has(list, "close"));
    assert_true(ad_slice_list_has(list, "keep-alive"));
    assert_true(ad_slice_list_has(list, "Upgrade"));
    assert_false(ad_slice_list_has(list, "clos"));
    assert_false(ad_slice_list_has(ad_slice_of("closed"), "close"));
    assert_false(ad_slice_list_has(ad_slice_of(""), "close"));
}

static void only_the_case_of_ascii_letters_is_ignored(void **state)
{
    (void)state;
    for (int c = 0; c < 256 * 256; c++) {
        char x = (char)(c & 255), y = (char)(c >> 8);
        bool wanted = ad_ascii_lower(x) == ad_ascii_lower(y);
        char a[] = "-Ab\x9a\xda zZ@[`{", b[] = "-aB\x9a\xda Zz@[`{";
        size_t at = (size_t)c % 13; /* eight bytes at a time, and the rest */
        a[at] = x;
        b[at] = y;
        assert_int_equal(ad_slice_case_equal((struct ad_slice){a, 12}, (struct ad_slice){b, 12}),
                         at == 12 || wanted);
    }
}

static void a_list_keeps_order_and_survives_double_removal(void **state)
{
    (void)state;
    struct ad_list head, other, a, b, c;
    ad_list_init(&head);
    ad_list_init(&other);
    ad_list_push_back(&head, &b);
    ad_list_push_back(&other, &c);
    ad_list_push_front(&head, &a);
    ad_list_splice_back(&head, &other);
    assert_true(ad_list_empty(&other));
    ad_list_remove(&b);
    ad_list_remove(&b);
    assert_ptr_equal(ad_list_pop_front(&head), &a);
    assert_ptr_equal(ad_list_pop_front(&head), &c);
    assert_null(ad_list_pop_front(&head));
}

static void every_error_code_has_a_name_a_text_and_a_class_once(void **state)
{
    (void)state;
    size_t count;
    const struct ad_error_entry *entries = ad_error_entries(&count);
    assert_true(count > 30);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(aioduct_error_name(entries[i].code), entries[i].name);
        assert_true(strlen(aioduct_error_text(entries[i].code)) > 10);
        assert_true(entries[i].code < -4095);
        assert_in_range(aioduct_error_class(entries[i].code), AIODUCT_CLASS_USAGE,
                        AIODUCT_CLASS_LOCAL);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(entries[i].code, entries[j].code);
        }
    }
    assert_string_equal(aioduct_error_name(-ECONNREFUSED), "ECONNREFUSED");
    assert_string_equal(aioduct_error_text(-ECONNREFUSED), "Connection refused");
    assert_string_equal(aioduct_error_name(-99999), "unknown");
    assert_string_equal(aioduct_error_text(0), "success");
}

static void an_error_may_be_wrapped_in_place(void **state)
{
    (void)state;
    struct aioduct_error e = {0};
    assert_int_equal(ad_error_set(&e, -ENOENT, AIODUCT_PHASE_SETUP, "no file"), -ENOENT);
    assert_int_equal(e.os_code, ENOENT);
    ad_error_set(&e, AIODUCT_E_CONFIG, AIODUCT_PHASE_SETUP, "config: %s", e.message);
    ad_error_hint(&e, "look at %s", "it");
    assert_string_equal(e.message, "config: no file");
    assert_string_equal(e.hint, "look at it");
    assert_int_equal(e.os_code, 0);
    assert_int_equal(ad_error_set(NULL, -EIO, AIODUCT_PHASE_NONE, "nobody"), -EIO);
}

static void what_strangers_wrote_is_escaped(void **state)
{
    (void)state;
    char out[32];
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"plain \\ text", "plain \\ text"},
        {"a\x1b[31mb\r\n\x7f", "a\\x1b[31mb\\x0d\\x0a\\x7f"},
        {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
         "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xc2\x9b", "\\xc2\\x9b"},          /* a C1 control */
        {"\xff\xc3", "\\xff\\xc3"},          /* no UTF-8 */
        {"\xc0\xaf", "\\xc0\\xaf"},          /* overlong */
        {"\xed\xa0\x80", "\\xed\\xa0\\x80"}, /* a surrogate */
        {"0123456789012345678901234567890123", "0123456789012345678901234567890"},
        {"012345678901234567890123456789\x1b", "012345678901234567890123456789"},
        {"01234567890123456789012345678\xe2\x82\xac", "01234567890123456789012345678"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t bytes = ad_escape(out, sizeof out, cases[i].from, strlen(cases[i].from));
        assert_string_equal(out, cases[i].to);
        assert_int_equal(bytes, strlen(cases[i].to));
    }
    assert_int_equal(ad_escape(out, sizeof out, "a\0b", 3), 6);
    assert_string_equal(out, "a\\x00b");
}

static void messages_and_hints_escape_too(void **state)
{
    (void)state;
    struct aioduct_error e = {0};
    ad_error_set(&e, AIODUCT_E_TLS, AIODUCT_PHASE_TLS, "name %s", "\x1b]0;x\a.example");
    ad_error_hint(&e, "not %s", "a\nb");
    assert_string_equal(e.message, "name \\x1b]0;x\\x07.example");
    assert_string_equal(e.hint, "not a\\x0ab");
    char long_text[700];
    memset(long_text, '\x1b', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    ad_error_set(&e, AIODUCT_E_TLS, AIODUCT_PHASE_TLS, "%s", long_text);
    assert_int_equal(strlen(e.message), (sizeof e.message - 1) / 4 * 4);
    /* Cut in the middle of a character, which is then none. */
    memset(long_text, 'a', sizeof long_text - 1);
    memcpy(long_text + sizeof e.message - 2, "\xe2\x82\xac", 3);
    ad_error_set(&e, AIODUCT_E_TLS, AIODUCT_PHASE_TLS, "%s", long_text);
    assert_int_equal(strlen(e.message), sizeof e.message - 2);
}

static void on_log(int level, const char *message, void *user)
{
    (void)message;
    ((int *)user)[level]++;
}

static void messages_above_the_level_are_not_made(void **state)
{
    (void)state;
    int seen[5] = {0};
    ad_log(AD_LOG_ERROR, "nobody listens");
    ad_log_set(on_log, seen, AD_LOG_NOTICE);
    ad_logf(AD_LOG_NOTICE, "%d", 1);
    ad_logf(AD_LOG_INFO, "%d", 2);
    ad_log_set(NULL, NULL, 0);
    ad_log(AD_LOG_ERROR, "nobody listens any more");
    assert_int_equal(seen[AD_LOG_ERROR], 0);
    assert_int_equal(seen[AD_LOG_NOTICE], 1);
    assert_int_equal(seen[AD_LOG_INFO], 0);
}

static void *note_mask(void *mask)
{
    pthread_sigmask(SIG_SETMASK, NULL, mask);
    return NULL;
}

static void a_thread_leaves_signals_to_the_program_and_faults_to_its_handlers(void **state)
{
    static const int not_ours[] = {SIGINT, SIGTERM, SIGCHLD, SIGALRM, SIGPIPE, SIGUSR1};
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    sigset_t before, in_thread, after;
    pthread_t thread;
    (void)state;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(ad_thread_start(&thread, note_mask, &in_thread), 0);
    pthread_join(thread, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (size_t i = 0; i < sizeof not_ours / sizeof not_ours[0]; i++) {
        assert_int_equal(sigismember(&in_thread, not_ours[i]), 1);
        assert_int_equal(sigismember(&after, not_ours[i]), sigismember(&before, not_ours[i]));
    }
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        assert_int_equal(sigismember(&in_thread, faults[i]), 0);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_buffer_keeps_bytes_in_order_while_it_moves_and_grows),
        cmocka_unit_test(an_append_that_cannot_allocate_changes_nothing),
        cmocka_unit_test(numbers_are_digits_within_a_limit),
        cmocka_unit_test(tokens_are_found_in_lists_whatever_their_case),
        cmocka_unit_test(only_the_case_of_ascii_letters_is_ignored),
        cmocka_unit_test(a_list_keeps_order_and_survives_double_removal),
        cmocka_unit_test(every_error_code_has_a_name_a_text_and_a_class_once),
        cmocka_unit_test(an_error_may_be_wrapped_in_place),
        cmocka_unit_test(what_strangers_wrote_is_escaped),
        cmocka_unit_test(messages_and_hints_escape_too),
        cmocka_unit_test(messages_above_the_level_are_not_made),
        cmocka_unit_test(a_thread_leaves_signals_to_the_program_and_faults_to_its_handlers),
    };
    return TAP_RUN(tests, NULL, NULL);
}
