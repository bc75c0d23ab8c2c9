/* SPDX-License-Identifier: MIT */
/**
 * aioduct bench [options] URL: a load generator over the public API, and what its parts share.
 *
 * settings.c reads the command line, target.c says whether the target is this machine, runs.c
 * starts a process for each turn of each runtime, load.c is what runs in it, figures.c compares,
 * report.c, report_json.c and chart.c tell what was measured.
 */
#ifndef TOOLS_BENCH_BENCH_H
#define TOOLS_BENCH_BENCH_H

#include "histogram.h"
#include "options.h"

#include <aioduct/aioduct.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* Asked for nothing else, it is 10 connections for 10 seconds. */
#define CONNECTIONS_DEFAULT 10
#define DURATION_MS_DEFAULT 10000
#define REQUEST_TIMEOUT_MS_DEFAULT 30000 /* else one that is never answered holds up the end */
#define ROUNDS_DEFAULT 5                 /* of a comparison */
#define RUNTIMES_MAX 8                   /* columns that a terminal has room for */
#define CONNECTIONS_MAX 10000            /* a client address has some 28,000 ports */
#define STREAMS_MAX 1000
#define LANES_MAX 100000 /* requests under way; each costs some KB of memory */
#define REQUESTS_MAX 1000000000
#define DURATION_S_MAX 86400
#define RATE_MAX 10000000 /* a second */
#define ROUNDS_MAX 100
#define EXIT_INTERRUPTED 130 /* as shells have it */

struct bench_settings {
    struct options
        request; /* what is shared with transfers; first, so that one table serves both */
    int connections, streams;
    uint64_t requests; /* for each runtime; 0: as many as the duration allows */
    int duration_ms;   /* for each runtime; 0: until all requests are done */
    int warm_up_ms;    /* before each turn, and not counted */
    double rate;       /* requests a second, begun whether or not others are done; 0: closed loop */
    int rounds;        /* turns of each runtime */
    bool yes;          /* the target may be another machine */
    bool json;
    const char *svg;
    bool show_help;

    /* made of the above */
    char *url;
    char *shown_url;     /* as it is requested: without user and password */
    char *runtime_words; /* what runtimes[] points into */
    const char *runtimes[RUNTIMES_MAX];
    size_t runtime_count;
    /* Without --yes these are the client's rules, so that what was looked at is what is dialled. */
    bool pinned;
    char *pin_connect_to, *pin_resolve;
};

/* Why a request did not bring what was asked for. */
enum bench_error {
    BENCH_RESOLVE,
    BENCH_REFUSED,
    BENCH_CONNECT,
    BENCH_TLS,
    BENCH_TIMEOUT,
    BENCH_CLOSED,
    BENCH_RESET,
    BENCH_TRUNCATED,
    BENCH_PROTOCOL,
    BENCH_STREAM,
    BENCH_OTHER,
    BENCH_HTTP_4XX, /* complete answers, with a latency */
    BENCH_HTTP_5XX,
    BENCH_ERRORS
};
extern const char *const bench_error_names[BENCH_ERRORS];

/* What runtimes are compared by. */
enum bench_figure {
    BENCH_RATE, /* answers a second */
    BENCH_MIN,  /* latency, as the next ones; nanoseconds */
    BENCH_MEAN,
    BENCH_P50,
    BENCH_P90,
    BENCH_P99,
    BENCH_P99_9,
    BENCH_MAX,
    BENCH_CPU, /* microseconds a complete answer */
    BENCH_USER,
    BENCH_SYSTEM,
    BENCH_FIGURES
};

struct bench_round {
    bool taken; /* else it was not its turn before the end */
    double figures[BENCH_FIGURES];
};

/* What one turn of a runtime, or several together, measured. Written by the process of the turn, in
 * memory that it shares; the parent reads `done` and `failed` while it runs, the rest behind it. */
struct bench_result {
    _Atomic uint64_t done;   /* complete answers, of any status */
    _Atomic uint64_t failed; /* requests that ended without one */
    uint64_t started, unfinished, not_started;
    uint64_t errors[BENCH_ERRORS];
    uint64_t status[1000];
    uint64_t body_bytes, bytes_in, bytes_out, dials, dial_failures;
    uint64_t elapsed_ns, user_ns, system_ns;
    char runtime[40], protocol[16], tls_version[16];
    bool ready;                            /* the client was made */
    struct aioduct_error setup;            /* else why not */
    struct aioduct_error first;            /* of the requests that failed */
    struct histogram latency;              /* of complete answers */
    struct bench_round rounds[ROUNDS_MAX]; /* of several together: each turn */
};

/* ---- settings.c ---- */

/* -> 0 or an exit code, with a message printed. */
int bench_settings_parse(struct bench_settings *s, int argc, char **argv);
void bench_settings_fini(struct bench_settings *s);
void bench_help(void);

/* ---- target.c ---- */

/* Learn the target as it is requested. Refuse what is not this machine, and pin the client to what
 * was found. -> 0 or an exit code, with a message printed. */
int bench_target_check(struct bench_settings *s);

/* ---- load.c ---- */

/* Do one turn in this process: @requests (0: no limit) in @duration_ms (0: no limit). Ends early if
 * *@stop is set. */
void bench_load(const struct bench_settings *s, const char *runtime, uint64_t requests,
                int duration_ms, const _Atomic int *stop, struct bench_result *result);

/* ---- runs.c ---- */

/* Everything, in turns; totals[i] is of s->runtimes[i]. -> 0 or an exit code, with a message
 * printed; *@out_interrupted: by a signal, and what was measured until then is there. */
int bench_runs(const struct bench_settings *s, struct bench_result *totals, bool *out_interrupted);

/* ---- figures.c ---- */

double bench_figure_of(const struct bench_result *r, enum bench_figure figure);
/* @turn was @total's in that round, counted from 0. */
void bench_keep_round(struct bench_result *total, const struct bench_result *turn, int round);
/* Median over the rounds of what @r has there by what @first has there; -1: there is none. */
double bench_ratio_of(const struct bench_result *r, const struct bench_result *first,
                      enum bench_figure figure);

/* ---- report.c, report_json.c, chart.c ---- */

uint64_t bench_errors_of(const struct bench_result *r);
/* The runtime's name; what was asked for if it never ran. */
const char *bench_name_of(const struct bench_settings *s, const struct bench_result *totals,
                          size_t index);
void bench_report(FILE *to, const struct bench_settings *s, const struct bench_result *totals);
void bench_report_json(FILE *to, const struct bench_settings *s, const struct bench_result *totals,
                       bool interrupted);
void bench_chart(FILE *to, const struct bench_settings *s, const struct bench_result *totals);

/* ---- bench.c ---- */

int bench_main(int argc, char **argv);

#endif
