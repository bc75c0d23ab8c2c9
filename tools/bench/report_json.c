/* SPDX-License-Identifier: MIT */
/* The same for programs: one object. Times are nanoseconds but where a name says otherwise. */
#include "bench.h"
#include "json.h"

#include <inttypes.h>

static void number(FILE *to, const char *name, uint64_t value, const char *separator)
{
    json_string(to, name);
    fprintf(to, ": %" PRIu64 "%s", value, separator);
}

static void real(FILE *to, const char *name, double value, const char *separator)
{
    json_string(to, name);
    fprintf(to, ": %.6f%s", value, separator);
}

static void settings(FILE *to, const struct bench_settings *s)
{
    fputs("  \"settings\": {", to);
    number(to, "connections", (uint64_t)s->connections, ", ");
    number(to, "streams", (uint64_t)s->streams, ", ");
    number(to, "requests", s->requests, ", ");
    real(to, "duration_s", s->duration_ms / 1000.0, ", ");
    real(to, "rate", s->rate, ", ");
    real(to, "warm_up_s", s->warm_up_ms / 1000.0, ", ");
    number(to, "rounds", (uint64_t)s->rounds, ", ");
    json_member(to, "latency_from", s->rate > 0 ? "due" : "start", "},\n");
}

static void counts(FILE *to, const struct bench_result *r)
{
    const char *separator = "";
    fputs("\n     \"errors\": {", to);
    number(to, "total", bench_errors_of(r), "");
    for (int i = 0; i < BENCH_ERRORS; i++) {
        fputs(", ", to);
        number(to, bench_error_names[i], r->errors[i], "");
    }
    fputs("},\n     \"status\": {", to);
    for (unsigned status = 0; status < 1000; status++) {
        if (r->status[status] > 0) {
            fprintf(to, "%s\"%u\": %" PRIu64, separator, status, r->status[status]);
            separator = ", ";
        }
    }
    fputs("},\n     \"bytes\": {", to);
    number(to, "received", r->bytes_in, ", ");
    number(to, "body", r->body_bytes, ", ");
    number(to, "sent", r->bytes_out, "},\n     ");
}

static void latency(FILE *to, const struct histogram *h)
{
    fputs("\"latency_ns\": {", to);
    number(to, "min", h->min, ", ");
    real(to, "mean", histogram_mean(h), ", ");
    real(to, "stdev", histogram_stdev(h), ", ");
    number(to, "p50", histogram_percentile(h, 50), ", ");
    number(to, "p90", histogram_percentile(h, 90), ", ");
    number(to, "p99", histogram_percentile(h, 99), ", ");
    number(to, "p99_9", histogram_percentile(h, 99.9), ", ");
    number(to, "max", h->max, "},\n     ");
}

static void runtime(FILE *to, const char *name, const struct bench_result *r)
{
    fputs("    {", to);
    json_member(to, "runtime", name, ", ");
    json_member(to, "protocol", r->protocol, ", ");
    json_member(to, "tls", r->tls_version, ",\n     ");
    real(to, "seconds", (double)r->elapsed_ns / 1e9, ", ");
    real(to, "requests_per_second", bench_figure_of(r, BENCH_RATE), ",\n     ");
    number(to, "started", r->started, ", ");
    number(to, "answers", r->done, ", ");
    number(to, "failed", r->failed, ", ");
    number(to, "not_answered", r->unfinished, ", ");
    number(to, "not_started", r->not_started, ",");
    counts(to, r);
    latency(to, &r->latency);
    fputs("\"cpu\": {", to);
    real(to, "user_s", (double)r->user_ns / 1e9, ", ");
    real(to, "system_s", (double)r->system_ns / 1e9, ", ");
    real(to, "us_per_answer", bench_figure_of(r, BENCH_CPU), "},\n     ");
    fputs("\"connections\": {", to);
    number(to, "opened", r->dials - r->dial_failures, ", ");
    number(to, "failed", r->dial_failures, "}");
}

/* What is compared, by the names that it has here. */
static const struct {
    const char *name;
    enum bench_figure figure;
} compared[] = {
    {"requests_per_second", BENCH_RATE}, {"latency_mean", BENCH_MEAN},  {"latency_p50", BENCH_P50},
    {"latency_p99", BENCH_P99},          {"cpu_per_answer", BENCH_CPU},
};
enum { COMPARED = sizeof compared / sizeof compared[0] };

/* Of the turns of one runtime, in order; null: it was not its turn before the end. */
static void rounds(FILE *to, const struct bench_settings *s, const struct bench_result *r)
{
    fputs(",\n     \"rounds\": [", to);
    for (int round = 0; round < s->rounds; round++) {
        fputs(round > 0 ? ",\n       " : "\n       ", to);
        if (!r->rounds[round].taken) {
            fputs("null", to);
            continue;
        }
        for (size_t i = 0; i < COMPARED; i++) {
            fputs(i == 0 ? "{" : ", ", to);
            real(to, compared[i].name, r->rounds[round].figures[compared[i].figure], "");
        }
        fputc('}', to);
    }
    fputc(']', to);
}

/* To the first runtime. */
static void ratios(FILE *to, const struct bench_settings *s, const struct bench_result *totals,
                   size_t index)
{
    fputs("    {", to);
    json_member(to, "runtime", bench_name_of(s, totals, index), ", ");
    json_member(to, "to", bench_name_of(s, totals, 0), "");
    for (size_t i = 0; i < COMPARED; i++) {
        double ratio = bench_ratio_of(&totals[index], &totals[0], compared[i].figure);
        fputs(", ", to);
        if (ratio >= 0) {
            real(to, compared[i].name, ratio, "");
        } else {
            json_string(to, compared[i].name);
            fputs(": null", to);
        }
    }
    fputc('}', to);
}

void bench_report_json(FILE *to, const struct bench_settings *s, const struct bench_result *totals,
                       bool interrupted)
{
    fputs("{\n  ", to);
    json_member(to, "aioduct", aioduct_version(), ", ");
    json_member(to, "url", s->shown_url, ", ");
    fprintf(to, "\"interrupted\": %s,\n", interrupted ? "true" : "false");
    settings(to, s);
    fputs("  \"runtimes\": [\n", to);
    for (size_t i = 0; i < s->runtime_count; i++) {
        runtime(to, bench_name_of(s, totals, i), &totals[i]);
        rounds(to, s, &totals[i]);
        fputs(i + 1 < s->runtime_count ? "},\n" : "}\n", to);
    }
    fputs("  ],\n  \"ratios\": [", to);
    for (size_t i = 1; i < s->runtime_count; i++) {
        fputs(i > 1 ? ",\n" : "\n", to);
        ratios(to, s, totals, i);
    }
    fputs(s->runtime_count > 1 ? "\n  ]\n}\n" : "]\n}\n", to);
}
