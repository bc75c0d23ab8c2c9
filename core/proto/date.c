/* SPDX-License-Identifier: MIT */
#include "proto/date.h"

#include <errno.h>
#include <time.h>

/* A wait of more than a year is no wait. */
#define RETRY_AFTER_MAX_S (366 * 86400)

static const char *const days_short[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const days_long[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday"};
static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* Each takes its part from the front of @text, or leaves it alone and says false. */

static bool take_text(struct ad_slice *text, const char *wanted)
{
    size_t bytes = strlen(wanted);
    if (text->bytes < bytes || memcmp(text->p, wanted, bytes) != 0) {
        return false;
    }
    text->p += bytes;
    text->bytes -= bytes;
    return true;
}

static bool take_name(struct ad_slice *text, const char *const *names, int count, int *out)
{
    for (int i = 0; i < count; i++) {
        if (take_text(text, names[i])) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool take_number(struct ad_slice *text, size_t digits, int *out)
{
    uint64_t value;
    if (text->bytes < digits ||
        ad_slice_to_u64((struct ad_slice){text->p, digits}, 9999, &value) < 0) {
        return false;
    }
    *out = (int)value;
    text->p += digits;
    text->bytes -= digits;
    return true;
}

static bool take_time(struct ad_slice *text, struct tm *tm)
{
    return take_number(text, 2, &tm->tm_hour) && take_text(text, ":") &&
           take_number(text, 2, &tm->tm_min) && take_text(text, ":") &&
           take_number(text, 2, &tm->tm_sec);
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" */
static bool fixdate(struct ad_slice text, struct tm *tm)
{
    return take_name(&text, days_short, 7, &tm->tm_wday) && take_text(&text, ", ") &&
           take_number(&text, 2, &tm->tm_mday) && take_text(&text, " ") &&
           take_name(&text, months, 12, &tm->tm_mon) && take_text(&text, " ") &&
           take_number(&text, 4, &tm->tm_year) && take_text(&text, " ") && take_time(&text, tm) &&
           take_text(&text, " GMT") && text.bytes == 0;
}

/* "Sunday, 06-Nov-94 08:49:37 GMT" */
static bool rfc850(struct ad_slice text, struct tm *tm)
{
    return take_name(&text, days_long, 7, &tm->tm_wday) && take_text(&text, ", ") &&
           take_number(&text, 2, &tm->tm_mday) && take_text(&text, "-") &&
           take_name(&text, months, 12, &tm->tm_mon) && take_text(&text, "-") &&
           take_number(&text, 2, &tm->tm_year) && take_text(&text, " ") && take_time(&text, tm) &&
           take_text(&text, " GMT") && text.bytes == 0;
}

/* "Sun Nov  6 08:49:37 1994" */
static bool asctime_form(struct ad_slice text, struct tm *tm)
{
    return take_name(&text, days_short, 7, &tm->tm_wday) && take_text(&text, " ") &&
           take_name(&text, months, 12, &tm->tm_mon) && take_text(&text, " ") &&
           (take_number(&text, 2, &tm->tm_mday) ||
            (take_text(&text, " ") && take_number(&text, 1, &tm->tm_mday))) &&
           take_text(&text, " ") && take_time(&text, tm) && take_text(&text, " ") &&
           take_number(&text, 4, &tm->tm_year) && text.bytes == 0;
}

/* The century that leaves the year at most 50 years ahead. */
static int full_year(int two_digits, int64_t now_s)
{
    time_t now = (time_t)now_s;
    struct tm today;
    if (gmtime_r(&now, &today) == NULL) {
        return 1900 + two_digits;
    }
    int this_year = today.tm_year + 1900;
    int year = this_year - this_year % 100 + two_digits;
    return year > this_year + 50 ? year - 100 : year;
}

int ad_date_parse(struct ad_slice text, int64_t now_s, int64_t *out_s)
{
    struct tm tm = {0}, asked;
    if (!fixdate(text, &tm) && !asctime_form(text, &tm)) {
        if (!rfc850(text, &tm)) {
            return -EINVAL;
        }
        tm.tm_year = full_year(tm.tm_year, now_s);
    }
    if (tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60) {
        return -EINVAL;
    }
    tm.tm_year -= 1900;
    asked = tm;
    asked.tm_hour = asked.tm_min = asked.tm_sec = 0;
    struct tm day = asked;
    (void)timegm(&day); /* puts a day that the month does not have into the next */
    if (day.tm_mday != asked.tm_mday || day.tm_mon != asked.tm_mon) {
        return -EINVAL;
    }
    *out_s = timegm(&tm);
    return 0;
}

int ad_date_retry_after(struct ad_slice text, int64_t now_s, int64_t *out_s)
{
    uint64_t seconds;
    int64_t at_s;
    text = ad_slice_trim(text);
    if (ad_slice_to_u64(text, UINT64_MAX, &seconds) == 0) {
        *out_s = seconds < RETRY_AFTER_MAX_S ? (int64_t)seconds : RETRY_AFTER_MAX_S;
        return 0;
    }
    int code = ad_date_parse(text, now_s, &at_s);
    if (code == 0) {
        int64_t left_s = at_s > now_s ? at_s - now_s : 0;
        *out_s = left_s < RETRY_AFTER_MAX_S ? left_s : RETRY_AFTER_MAX_S;
    }
    return code;
}
