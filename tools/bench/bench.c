/* SPDX-License-Identifier: MIT */
/* aioduct bench: reads from top to bottom what it does. */
#include "bench.h"
#include "exitcode.h"
#include "password.h"
#include "transfer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What an ordinary transfer would say of the first request that failed. */
static int judge(const struct bench_settings *s, const struct bench_result *totals,
                 bool interrupted)
{
    const struct options *o = &s->request;
    int code = interrupted ? EXIT_INTERRUPTED : 0;
    for (size_t i = 0; i < s->runtime_count && code == 0; i++) {
        const struct bench_result *r = &totals[i];
        if (r->first.code != 0) {
            code = complain_error(o, &r->first);
        } else if (o->fail && bench_errors_of(r) > 0) {
            complain(o, "(%d) answers with status 400 and above", EXIT_STATUS);
            code = EXIT_STATUS;
        } else if (r->done == 0) {
            complain(o, "(%d) no request was answered in time", EXIT_TIMEOUT);
            code = EXIT_TIMEOUT;
        }
    }
    return code;
}

static bool flushed(FILE *file)
{
    return fflush(file) == 0 && !ferror(file);
}

static int finish(const struct bench_settings *s, FILE *svg, const struct bench_result *totals,
                  bool interrupted)
{
    if (s->json) {
        bench_report_json(stdout, s, totals, interrupted);
    } else {
        bench_report(stdout, s, totals);
    }
    if (svg != NULL) {
        bench_chart(svg, s, totals);
    }
    if (!flushed(stdout) || (svg != NULL && !flushed(svg))) {
        complain(&s->request, "(%d) the result cannot be written: %s", EXIT_WRITE, strerror(errno));
        return EXIT_WRITE;
    }
    return judge(s, totals, interrupted);
}

static int run(const struct bench_settings *s)
{
    bool interrupted = false;
    FILE *svg = NULL;
    if (s->svg != NULL && (svg = fopen(s->svg, "we")) == NULL) {
        complain(&s->request, "(%d) --svg: %s: %s", EXIT_WRITE, s->svg, strerror(errno));
        return EXIT_WRITE;
    }
    struct bench_result *totals = calloc(s->runtime_count, sizeof *totals);
    int code = totals == NULL ? EXIT_MEMORY : bench_runs(s, totals, &interrupted);
    if (code == 0) {
        code = finish(s, svg, totals, interrupted);
    }
    if (svg != NULL) {
        fclose(svg);
    }
    free(totals);
    return code;
}

int bench_main(int argc, char **argv)
{
    struct bench_settings settings;
    int code = bench_settings_parse(&settings, argc, argv);
    if (code == 0 && settings.show_help) {
        bench_help();
    } else if (code == 0) {
        code = password_ask(&settings.request);
        code = code != 0 ? code : bench_target_check(&settings);
        code = code != 0 ? code : run(&settings);
    }
    bench_settings_fini(&settings);
    return code;
}
