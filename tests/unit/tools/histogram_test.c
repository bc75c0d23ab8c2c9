/* SPDX-License-Identifier: MIT */
/* The histogram of aioduct bench against sorted values. */
#include <tap.h>

#include <histogram.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VALUES 20000

static const double percents[] = {0, 0.01, 1, 10, 25, 50, 75, 90, 99, 99.9, 99.99, 100};

static uint64_t next(uint64_t *seed) /* xorshift64 */
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The value at a percentile of sorted ones, counted in another way than the histogram's. */
static uint64_t exact(const uint64_t *sorted, size_t count, double percent)
{
    size_t rank = 1;
    while (rank < count && (double)rank * 100 < percent * (double)count - 1e-6) {
        rank++;
    }
    return sorted[rank - 1];
}

static void check(struct histogram *h, uint64_t *values, size_t count)
{
    memset(h, 0, sizeof *h);
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        histogram_record(h, values[i]);
        sum += (double)values[i];
    }
    qsort(values, count, sizeof *values, by_size);
    assert_int_equal(h->count, count);
    assert_int_equal(h->min, values[0]);
    assert_int_equal(h->max, values[count - 1]);
    double mean = sum / (double)count, squares = 0;
    for (size_t i = 0; i < count; i++) {
        squares += ((double)values[i] - mean) * ((double)values[i] - mean);
    }
    assert_true(fabs(histogram_mean(h) - mean) <= mean * 1e-9);
    assert_true(fabs(histogram_stdev(h) - sqrt(squares / (double)count)) <=
                (double)h->max / 1024 + 1);
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        uint64_t want = exact(values, count, percents[i]);
        uint64_t got = histogram_percentile(h, percents[i]);
        if (got < want || got - want > want / 1024 || got > h->max) {
            fail_msg("p%g of %zu: got %llu, sorted %llu", percents[i], count,
                     (unsigned long long)got, (unsigned long long)want);
        }
    }
}

static void percentiles_are_within_a_part_in_1024_of_the_sorted_values(void **state)
{
    (void)state;
    static struct histogram h;
    static uint64_t values[VALUES];
    uint64_t seed = 88172645463325252u;
    for (unsigned bits = 1; bits <= HISTOGRAM_VALUE_BITS; bits++) {
        for (size_t count = 1; count <= VALUES; count = count * 7 + 2) {
            for (size_t i = 0; i < count; i++) {
                /* as many small as large ones: every width of bucket has its share */
                uint64_t mask = (UINT64_C(1) << (1 + next(&seed) % bits)) - 1;
                values[i] = next(&seed) & mask;
            }
            check(&h, values, count);
        }
    }
}

static void each_edge_of_a_bucket_is_found_again(void **state)
{
    (void)state;
    static struct histogram h;
    for (unsigned bits = 0; bits < HISTOGRAM_VALUE_BITS; bits++) {
        for (int away = -2; away <= 2; away++) {
            uint64_t value = (UINT64_C(1) << bits) + (uint64_t)(int64_t)away;
            if (value <= HISTOGRAM_VALUE_MAX) {
                check(&h, &value, 1);
                assert_int_equal(histogram_percentile(&h, 50), value); /* one value is exact */
            }
        }
    }
}

static void below_2048_every_value_is_exact(void **state)
{
    (void)state;
    static struct histogram h;
    static uint64_t values[2048];
    memset(&h, 0, sizeof h);
    for (size_t i = 0; i < 2048; i++) {
        values[i] = i;
        histogram_record(&h, i);
    }
    for (size_t i = 0; i < sizeof percents / sizeof percents[0]; i++) {
        assert_int_equal(histogram_percentile(&h, percents[i]), exact(values, 2048, percents[i]));
    }
}

static void what_is_too_long_counts_as_the_longest(void **state)
{
    (void)state;
    static struct histogram h;
    memset(&h, 0, sizeof h);
    histogram_record(&h, UINT64_MAX);
    histogram_record(&h, HISTOGRAM_VALUE_MAX + 1);
    assert_int_equal(h.count, 2);
    assert_int_equal(histogram_percentile(&h, 100), HISTOGRAM_VALUE_MAX);
}

static void an_empty_one_gives_zeros(void **state)
{
    (void)state;
    static struct histogram h;
    memset(&h, 0, sizeof h);
    assert_int_equal(histogram_percentile(&h, 99), 0);
    assert_true(histogram_mean(&h) == 0 && histogram_stdev(&h) == 0);
}

static void two_added_are_as_one_that_had_all(void **state)
{
    (void)state;
    static struct histogram a, b, all, none;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    memset(&all, 0, sizeof all);
    uint64_t seed = 2463534242u;
    for (int i = 0; i < 5000; i++) {
        uint64_t value = next(&seed) % 1000000007;
        histogram_record(i % 3 == 0 ? &a : &b, value);
        histogram_record(&all, value);
    }
    histogram_add(&a, &b);
    histogram_add(&a, &none);
    assert_int_equal(a.count, all.count);
    assert_int_equal(a.min, all.min);
    assert_int_equal(a.max, all.max);
    assert_memory_equal(a.buckets, all.buckets, sizeof a.buckets);
    assert_true(fabs(a.sum - all.sum) < 1);
    histogram_add(&none, &all);
    assert_int_equal(none.min, all.min);
    assert_int_equal(none.count, all.count);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_within_a_part_in_1024_of_the_sorted_values),
        cmocka_unit_test(each_edge_of_a_bucket_is_found_again),
        cmocka_unit_test(below_2048_every_value_is_exact),
        cmocka_unit_test(what_is_too_long_counts_as_the_longest),
        cmocka_unit_test(an_empty_one_gives_zeros),
        cmocka_unit_test(two_added_are_as_one_that_had_all),
    };
    return TAP_RUN(tests, NULL, NULL);
}
