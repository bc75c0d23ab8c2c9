/* SPDX-License-Identifier: MIT */
#include "proto/date.h"
#include "tap.h"

#include <errno.h>

#define NOW 1700000000 /* 14 November 2023, 22:13:20 */

static void expect(const char *text, int64_t want_s)
{
    int64_t got_s = -1;
    if (ad_date_parse(ad_slice_of(text), NOW, &got_s) != 0 || got_s != want_s) {
        tap_fail("%s: %lld, not %lld", text, (long long)got_s, (long long)want_s);
    }
}

static void expect_retry(const char *text, int64_t want_s)
{
    int64_t got_s = -1;
    if (ad_date_retry_after(ad_slice_of(text), NOW, &got_s) != 0 || got_s != want_s) {
        tap_fail("%s: %lld, not %lld", text, (long long)got_s, (long long)want_s);
    }
}

static void test_forms(void **state)
{
    (void)state;
    expect("Sun, 06 Nov 1994 08:49:37 GMT", 784111777);
    expect("Sunday, 06-Nov-94 08:49:37 GMT", 784111777);
    expect("Sun Nov  6 08:49:37 1994", 784111777);
    expect("Wed Nov 16 08:49:37 1994", 784975777);
    expect("Thu, 29 Feb 2024 00:00:00 GMT", 1709164800);
    expect("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800); /* a leap second */
}

static void test_two_digit_years(void **state)
{
    (void)state;
    expect("Thursday, 14-Nov-73 22:13:20 GMT", 3277923200); /* 2073: 50 years ahead */
    expect("Wednesday, 14-Nov-74 22:13:20 GMT", 153699200); /* 1974: 2074 would be 51 */
}

static void test_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "soon",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Wed, 29 Feb 2023 00:00:00 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, -6 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t got_s;
        if (ad_date_parse(ad_slice_of(bad[i]), NOW, &got_s) != -EINVAL) {
            tap_fail("taken: '%s'", bad[i]);
        }
    }
}

static void test_retry_after(void **state)
{
    (void)state;
    int64_t got_s;
    expect_retry("0", 0);
    expect_retry("120", 120);
    expect_retry(" 120\t", 120);
    expect_retry("99999999999", 366 * 86400);
    expect_retry("18446744073709551615", 366 * 86400);
    expect_retry("Tue, 14 Nov 2023 22:14:20 GMT", 60);
    expect_retry("Tuesday, 14-Nov-23 22:14:20 GMT", 60);
    expect_retry("Tue Nov 14 22:14:20 2023", 60);
    expect_retry("Tue, 14 Nov 2023 22:13:19 GMT", 0); /* past */
    expect_retry("Fri, 31 Dec 9999 23:59:59 GMT", 366 * 86400);
    static const char *const bad[] = {"", "-1", "+5", "1.5", "5 5", "18446744073709551616", "now"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(ad_date_retry_after(ad_slice_of(bad[i]), NOW, &got_s), -EINVAL);
    }
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"the three forms of a date are read", test_forms, NULL, NULL, NULL},
        {"a year of two digits is at most 50 years ahead", test_two_digit_years, NULL, NULL, NULL},
        {"what is no date is refused", test_malformed, NULL, NULL, NULL},
        {"C25: Retry-After is read in seconds and in all forms of dates", test_retry_after, NULL,
         NULL, NULL},
    };
    return TAP_RUN(cases, NULL, NULL);
}
