/* SPDX-License-Identifier: MIT */
/* The table: a column for each runtime, and how each compares with the first. */
#include "bench.h"

#include <inttypes.h>
#include <string.h>

#define CELL 14 /* columns of a terminal */

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

static void cells(const struct table *t, const char *label, enum form form, const double *values)
{
    char text[32];
    fprintf(t->to, "  %-18s", label);
    for (size_t i = 0; i < t->settings->runtime_count; i++) {
        cell(text, sizeof text, form, values[i]);
        fprintf(t->to, "%*s", CELL, text);
    }
}

/* What all rounds together have, and behind it the ratios to the first. */
static void compared(const struct table *t, const char *label, enum form form,
                     enum bench_figure figure)
{
    double values[RUNTIMES_MAX];
    for (size_t i = 0; i < t->settings->runtime_count; i++) {
        values[i] = bench_figure_of(&t->totals[i], figure);
    }
    cells(t, label, form, values);
    for (size_t i = 1; i < t->settings->runtime_count; i++) {
        double ratio = bench_ratio_of(&t->totals[i], &t->totals[0], figure);
        if (ratio >= 0) {
            fprintf(t->to, "%*.3f", CELL, ratio);
        } else {
            fprintf(t->to, "%*s", CELL, "-");
        }
    }
    fputc('\n', t->to);
}

static void row(const struct table *t, const char *label, enum form form,
                double (*value)(const struct bench_result *r), bool even_zero)
{
    double values[RUNTIMES_MAX];
    bool any = even_zero;
    for (size_t i = 0; i < t->settings->runtime_count; i++) {
        values[i] = value(&t->totals[i]);
        any = any || values[i] > 0;
    }
    if (any) {
        cells(t, label, form, values);
        fputc('\n', t->to);
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
        cells(t, label, FORM_COUNT, values);
        fputc('\n', t->to);
    }
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

static double stdev(const struct bench_result *r)
{
    return histogram_stdev(&r->latency);
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
    if (s->warm_up_ms > 0) {
        fprintf(t->to, ", after %g s of warm-up%s", s->warm_up_ms / 1000.0,
                s->rounds > 1 ? " each" : "");
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
    compared(t, "min", FORM_TIME, BENCH_MIN);
    compared(t, "mean", FORM_TIME, BENCH_MEAN);
    row(t, "stdev", FORM_TIME, stdev, true);
    compared(t, "p50", FORM_TIME, BENCH_P50);
    compared(t, "p90", FORM_TIME, BENCH_P90);
    compared(t, "p99", FORM_TIME, BENCH_P99);
    compared(t, "p99.9", FORM_TIME, BENCH_P99_9);
    compared(t, "max", FORM_TIME, BENCH_MAX);
    fputc('\n', t->to);
    compared(t, "CPU an answer", FORM_US, BENCH_CPU);
    compared(t, "  user", FORM_US, BENCH_USER);
    compared(t, "  system", FORM_US, BENCH_SYSTEM);
}

void bench_report(FILE *to, const struct bench_settings *s, const struct bench_result *totals)
{
    const struct table table = {.to = to, .settings = s, .totals = totals};
    const struct table *t = &table;
    head(t);
    titles(t);
    row(t, "time", FORM_SECONDS, elapsed, true);
    compared(t, "requests/s", FORM_RATE, BENCH_RATE);
    row(t, "answers", FORM_COUNT, done, true);
    row(t, "errors", FORM_COUNT, errors, true);
    causes(t);
    row(t, "received", FORM_BYTES, received, true);
    row(t, "  of it bodies", FORM_BYTES, body, true);
    row(t, "sent", FORM_BYTES, sent, true);
    if (any_answer(t)) {
        times(t);
    }
    row(t, "connections", FORM_COUNT, opened, true);
    row(t, "  not opened", FORM_COUNT, not_opened, false);
}
