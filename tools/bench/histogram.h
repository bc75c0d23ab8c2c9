/* SPDX-License-Identifier: MIT */
/**
 * Counts of durations, in buckets whose width grows with the value, as HDR histograms have it: from
 * 1 ns to over an hour, any value is known to one part in 1,024. Recording is two shifts and an
 * increment, and allocates nothing. Plain memory: all zero is empty, and it may be shared between
 * processes as long as one of them writes.
 */
#ifndef TOOLS_BENCH_HISTOGRAM_H
#define TOOLS_BENCH_HISTOGRAM_H

#include <stdint.h>

/* Below 2,048 each value has a bucket; above, each doubling has 1,024. */
#define HISTOGRAM_HALF_BITS 10
#define HISTOGRAM_HALF (1u << HISTOGRAM_HALF_BITS)
#define HISTOGRAM_VALUE_BITS 42 /* 73 minutes in nanoseconds; what is above counts as that */
#define HISTOGRAM_VALUE_MAX ((UINT64_C(1) << HISTOGRAM_VALUE_BITS) - 1)
#define HISTOGRAM_BUCKETS ((HISTOGRAM_VALUE_BITS - HISTOGRAM_HALF_BITS + 1) * HISTOGRAM_HALF)

struct histogram {
    uint64_t count, min, max; /* min and max are exact; with a count of 0 they mean nothing */
    double sum;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_record(struct histogram *h, uint64_t value);
/* All of @from too. */
void histogram_add(struct histogram *h, const struct histogram *from);
/* The smallest value that is not below @percent of all; 0 if there are none. At most 1/1,024 above
 * the exact one, and never above the largest. */
uint64_t histogram_percentile(const struct histogram *h, double percent);
double histogram_mean(const struct histogram *h);
double histogram_stdev(const struct histogram *h);

#endif
