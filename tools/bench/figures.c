/* SPDX-License-Identifier: MIT */
/* What is compared: figures of a turn, and how those of two runtimes go with each other. */
#include "bench.h"

#include <stdlib.h>

double bench_figure_of(const struct bench_result *r, enum bench_figure figure)
{
    const double answers = r->done == 0 ? 1 : (double)r->done; /* without any the sums are 0 */
    const struct histogram *latency = &r->latency;
    switch (figure) {
    case BENCH_RATE:
        return r->elapsed_ns == 0 ? 0 : (double)r->done * 1e9 / (double)r->elapsed_ns;
    case BENCH_MIN:
        return (double)latency->min;
    case BENCH_MEAN:
        return histogram_mean(latency);
    case BENCH_P50:
        return (double)histogram_percentile(latency, 50);
    case BENCH_P90:
        return (double)histogram_percentile(latency, 90);
    case BENCH_P99:
        return (double)histogram_percentile(latency, 99);
    case BENCH_P99_9:
        return (double)histogram_percentile(latency, 99.9);
    case BENCH_MAX:
        return (double)latency->max;
    case BENCH_CPU:
        return r->done == 0 ? 0 : (double)(r->user_ns + r->system_ns) / 1000 / answers;
    case BENCH_USER:
        return r->done == 0 ? 0 : (double)r->user_ns / 1000 / answers;
    case BENCH_SYSTEM:
        return r->done == 0 ? 0 : (double)r->system_ns / 1000 / answers;
    case BENCH_FIGURES:
        break;
    }
    return 0;
}

void bench_keep_round(struct bench_result *total, const struct bench_result *turn, int round)
{
    struct bench_round *kept = &total->rounds[round];
    kept->taken = true;
    for (int i = 0; i < BENCH_FIGURES; i++) {
        kept->figures[i] = bench_figure_of(turn, (enum bench_figure)i);
    }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_ratio_of(const struct bench_result *r, const struct bench_result *first,
                      enum bench_figure figure)
{
    double ratios[ROUNDS_MAX];
    size_t count = 0;
    for (int i = 0; i < ROUNDS_MAX; i++) {
        const struct bench_round *own = &r->rounds[i], *base = &first->rounds[i];
        if (own->taken && base->taken && base->figures[figure] > 0) {
            ratios[count++] = own->figures[figure] / base->figures[figure];
        }
    }
    if (count == 0) {
        return -1;
    }
    qsort(ratios, count, sizeof *ratios, by_size);
    return (ratios[(count - 1) / 2] + ratios[count / 2]) / 2;
}
