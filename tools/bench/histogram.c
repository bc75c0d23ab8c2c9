/* SPDX-License-Identifier: MIT */
#include "histogram.h"

#include <math.h>

/* Values of 2,048 and above are shifted until 11 bits are left, of which the first is always 1. */
static unsigned shift_of(uint64_t value)
{
    unsigned bits = 64u - (unsigned)__builtin_clzll(value | 1);
    return bits > HISTOGRAM_HALF_BITS + 1 ? bits - (HISTOGRAM_HALF_BITS + 1) : 0;
}

static unsigned bucket_of(uint64_t value)
{
    unsigned shift = shift_of(value);
    return shift * HISTOGRAM_HALF + (unsigned)(value >> shift);
}

/* The least and the greatest value that a bucket stands for. */
static uint64_t bucket_floor(unsigned bucket, uint64_t *out_top)
{
    unsigned shift = bucket < 2 * HISTOGRAM_HALF ? 0 : bucket / HISTOGRAM_HALF - 1;
    uint64_t floor = (uint64_t)(bucket - shift * HISTOGRAM_HALF) << shift;
    *out_top = floor + (UINT64_C(1) << shift) - 1;
    return floor;
}

void histogram_record(struct histogram *h, uint64_t value)
{
    if (value > HISTOGRAM_VALUE_MAX) {
        value = HISTOGRAM_VALUE_MAX;
    }
    if (h->count == 0 || value < h->min) {
        h->min = value;
    }
    if (value > h->max) {
        h->max = value;
    }
    h->count++;
    h->sum += (double)value;
    h->buckets[bucket_of(value)]++;
}

void histogram_add(struct histogram *h, const struct histogram *from)
{
    if (from->count == 0) {
        return;
    }
    if (h->count == 0 || from->min < h->min) {
        h->min = from->min;
    }
    if (from->max > h->max) {
        h->max = from->max;
    }
    h->count += from->count;
    h->sum += from->sum;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        h->buckets[i] += from->buckets[i];
    }
}

uint64_t histogram_percentile(const struct histogram *h, double percent)
{
    if (h->count == 0) {
        return 0;
    }
    double exact = (double)h->count * percent / 100 - 1e-9;
    uint64_t rank = exact > 0 ? (uint64_t)exact : 0;
    rank += (double)rank < exact; /* rounded up */
    rank = rank < 1 ? 1 : rank > h->count ? h->count : rank;
    uint64_t seen = 0, top = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->buckets[i];
        if (seen >= rank) {
            bucket_floor(i, &top);
            break;
        }
    }
    return top < h->max ? top : h->max;
}

double histogram_mean(const struct histogram *h)
{
    return h->count == 0 ? 0 : h->sum / (double)h->count;
}

double histogram_stdev(const struct histogram *h)
{
    double mean = histogram_mean(h), squares = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && h->count > 0; i++) {
        if (h->buckets[i] > 0) {
            uint64_t top, floor = bucket_floor(i, &top);
            double away = ((double)floor + (double)top) / 2 - mean;
            squares += away * away * (double)h->buckets[i];
        }
    }
    return h->count == 0 ? 0 : sqrt(squares / (double)h->count);
}
