/* SPDX-License-Identifier: MIT */
/* The table: a column for each runtime, and how each compares with the first. */
#include "bench.h"

#include <inttypes.h>
#include <string.h>

#define CELL 14 /* columns of a terminal */

double bench_rate_of(const struct bench_result *r)
{
    return r->elapsed_ns == 0 ? 0 : (double)r->done * 1e9 / (double)r->elapsed_ns;
}

double bench_cpu_us_of(const struct bench_result *r)
{
    return r->done == 0 ? 0 : (double)(r->user_ns + r->system_ns) / 1000 / (double)r->done;
}

uint64_t bench_errors_of(const struct bench_result *r)
{
    return r->failed + r->errors[BENCH_HTTP_4XX] + r->errors[BENCH_HTTP_5XX];
}

const char *bench_name_of(const struct bench_settings *s, const struct bench_result *totals,
                          size_t index)
{
    const char *asked = s->runtimes[index];
    return totals[index].runtime[0] != '\0' ? totals[index].runtime : asked != NULL ? asked : "-";
}

/* ---- cells ---- */

enum form { FORM_COUNT, FORM_RATE, FORM_BYTES, FORM_TIME, FORM_SECONDS, FORM_US };

static void scaled(char *out, size_t room, double value, const char *const *units, double step)
{
    while (value >= step && units[1] != NULL) {
        value /= step;
        units++;
    }
    int digits = value < 10 ? 2 : value < 100 ? 1 : 0;
    snprintf(out, room, "%.*f %s", digits, value, *units);
}

static void cell(char *out, size_t room, enum form form, double value)
{
    static const char *const bytes[] = {"B", "KiB", "MiB", "GiB", "TiB", NULL};
    static const char *const times[] = {"ns", "us", "ms", "s", NULL};
    switch (form) {
    case FORM_COUNT:
        snprintf(out, room, "%.0f", value);
        break;
    case FORM_RATE:
        snprintf(out, room, "%.*f", value < 100 ? 2 : 0, value);
        break;
    case FORM_BYTES:
        scaled(out, room, value, bytes, 1024);
        break;
    case FORM_TIME:
        scaled(out, room, value, times, 1000);
        break;
    case FORM_SECONDS:
        snprintf(out, room, "%.3f s", value / 1e9);
        break;
    case FORM_US:
        snprintf(out, room, "%.2f us", value);
        break;
    }
}

/* ---- rows ---- */

struct table {
    FILE *to;
    const struct bench_settings *settings;
    const struct bench_result *totals;
};

static void texts(const struct table *t, const char *label, size_t offset)
{
    fprintf(t->to, "  %-18s", label);
    for (size_t i = 0; i < t->settings->runtime_count; i++) {
        const char *text = (const char *)&t->totals[i] + offset;
        fprintf(t->to, "%*s", CELL, text[0] != '\0' ? text : "-");
    }
    fputc('\n', t->to);
}

/* Ratios to the first are behind, where they say something. */
static void numbers(const struct table *t, const char *label, enum form form, bool ratios,
                    const double *values)
{
    size_t columns = t->settings->runtime_count;
    char text[32];
    fprintf(t->to, "  %-18s", label);
    for (size_t i = 0; i < columns; i++) {
        cell(text, sizeof text, form, values[i]);
        fprintf(t->to, "%*s", CELL, text);
    }
    for (size_t i = 1; i < columns && ratios; i++) {
        if (values[0] > 0) {
            fprintf(t->to, "%*.3f", CELL, values[i] / values[0]);
        } else {
            fprintf(t->to, "%*s", CELL, "-");
        }
    }
    fputc('\n', t->to);
}

static void row(const struct table *t, const char *label, enum form form, bool ratios,
                double (*value)(const struct bench_result *r), bool even_zero)
{
    double values[RUNTIMES_MAX];
    bool any = even_zero;
    for (size_t i = 0; i < t->settings->runtime_count; i++) {
        values[i] = value(&t->totals[i]);
        any = any || values[i] > 0;
    }
    if (any) {
        numbers(t, label, form, ratios, values);
    }
}

static void counters(const struct table *t, const char *label, size_t offset)
{
    double values[RUNTIMES_MAX];
    bool any = false;
    for (size_t i = 0; i < t->settings->runtime_count; i++) {
        values[i] = (double)*(const uint64_t *)(const void *)((const char *)&t->totals[i] + offset);
        any = any || values[i] > 0;
    }
    if (any) {
        numbers(t, label, FORM_COUNT, false, values);
    }
}

static void percentile(const struct table *t, const char *label, double percent)
{
    double values[RUNTIMES_MAX];
    for (size_t i = 0; i < t->settings->runtime_count; i++) {
        values[i] = (double)histogram_percentile(&t->totals[i].latency, percent);
    }
    numbers(t, label, FORM_TIME, true, values);
}

static double done(const struct bench_result *r)
{
    return (double)r->done;
}

static double errors(const struct bench_result *r)
{
    return (double)bench_errors_of(r);
}

static double elapsed(const struct bench_result *r)
{
    return (double)r->elapsed_ns;
}

static double received(const struct bench_result *r)
{
    return (double)r->bytes_in;
}

static double body(const struct bench_result *r)
{
    return (double)r->body_bytes;
}

static double sent(const struct bench_result *r)
{
    return (double)r->bytes_out;
}

static double fastest(const struct bench_result *r)
{
    return (double)r->latency.min;
}

static double mean(const struct bench_result *r)
{
    return histogram_mean(&r->latency);
}

static double stdev(const struct bench_result *r)
{
    return histogram_stdev(&r->latency);
}

static double slowest(const struct bench_result *r)
{
    return (double)r->latency.max;
}

static double user_us(const struct bench_result *r)
{
    return r->done == 0 ? 0 : (double)r->user_ns / 1000 / (double)r->done;
}

static double system_us(const struct bench_result *r)
{
    return r->done == 0 ? 0 : (double)r->system_ns / 1000 / (double)r->done;
}

static double opened(const struct bench_result *r)
{
    return (double)(r->dials - r->dial_failures);
}

static double not_opened(const struct bench_result *r)
{
    return (double)r->dial_failures;
}

/* ---- the page ---- */

static void head(const struct table *t)
{
    const struct bench_settings *s = t->settings;
    fprintf(t->to, "%s\n%d connection%s", s->shown_url, s->connections,
            s->connections > 1 ? "s" : "");
    if (s->streams > 1) {
        fprintf(t->to, ", %d streams each", s->streams);
    }
    if (s->requests > 0) {
        fprintf(t->to, ", %" PRIu64 " requests", s->requests);
    }
    if (s->duration_ms > 0) {
        fprintf(t->to, ", %g s", s->duration_ms / 1000.0);
    }
    if (s->rate > 0) {
        fprintf(t->to, ", %g requests a second", s->rate);
    }
    if (s->rounds > 1) {
        fprintf(t->to, ", in %d rounds", s->rounds);
    }
    fputs("\n\n", t->to);
}

/* The first line says what the columns are, those of ratios too. */
static void titles(const struct table *t)
{
    size_t columns = t->settings->runtime_count;
    fprintf(t->to, "  %-18s", "runtime");
    for (size_t i = 0; i < columns; i++) {
        fprintf(t->to, "%*s", CELL, bench_name_of(t->settings, t->totals, i));
    }
    for (size_t i = 1; i < columns; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s/1st", bench_name_of(t->settings, t->totals, i));
        fprintf(t->to, "%*s", CELL, text);
    }
    fputc('\n', t->to);
    texts(t, "protocol", offsetof(struct bench_result, protocol));
    if (t->totals[0].tls_version[0] != '\0') {
        texts(t, "TLS", offsetof(struct bench_result, tls_version));
    }
}

static void causes(const struct table *t)
{
    char label[32];
    for (size_t i = 0; i < BENCH_ERRORS; i++) {
        snprintf(label, sizeof label, "  %s", bench_error_names[i]);
        counters(t, label, offsetof(struct bench_result, errors) + i * sizeof(uint64_t));
    }
    for (size_t status = 0; status < 1000; status++) {
        snprintf(label, sizeof label, "status %zu", status);
        counters(t, label, offsetof(struct bench_result, status) + status * sizeof(uint64_t));
    }
    counters(t, "not answered", offsetof(struct bench_result, unfinished));
    counters(t, "due, not started", offsetof(struct bench_result, not_started));
}

static bool any_answer(const struct table *t)
{
    bool any = false;
    for (size_t i = 0; i < t->settings->runtime_count; i++) {
        any = any || t->totals[i].done > 0;
    }
    return any;
}

static void times(const struct table *t)
{
    fprintf(t->to, "\n  latency, from when each was %s\n",
            t->settings->rate > 0 ? "due" : "started");
    row(t, "min", FORM_TIME, true, fastest, true);
    row(t, "mean", FORM_TIME, true, mean, true);
    row(t, "stdev", FORM_TIME, false, stdev, true);
    percentile(t, "p50", 50);
    percentile(t, "p90", 90);
    percentile(t, "p99", 99);
    percentile(t, "p99.9", 99.9);
    row(t, "max", FORM_TIME, true, slowest, true);
    fputc('\n', t->to);
    row(t, "CPU an answer", FORM_US, true, bench_cpu_us_of, true);
    row(t, "  user", FORM_US, true, user_us, true);
    row(t, "  system", FORM_US, true, system_us, true);
}

void bench_report(FILE *to, const struct bench_settings *s, const struct bench_result *totals)
{
    const struct table table = {.to = to, .settings = s, .totals = totals};
    const struct table *t = &table;
    head(t);
    titles(t);
    row(t, "time", FORM_SECONDS, false, elapsed, true);
    row(t, "requests/s", FORM_RATE, true, bench_rate_of, true);
    row(t, "answers", FORM_COUNT, false, done, true);
    row(t, "errors", FORM_COUNT, false, errors, true);
    causes(t);
    row(t, "received", FORM_BYTES, false, received, true);
    row(t, "  of it bodies", FORM_BYTES, false, body, true);
    row(t, "sent", FORM_BYTES, false, sent, true);
    if (any_answer(t)) {
        times(t);
    }
    row(t, "connections", FORM_COUNT, false, opened, true);
    row(t, "  not opened", FORM_COUNT, false, not_opened, false);
}
