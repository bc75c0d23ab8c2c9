/* SPDX-License-Identifier: MIT */
#include "pattern.h"

#include <pthread.h>
#include <string.h>

/* A prime, so that no buffer size divides it. */
enum { TABLE_BYTES = 65521 };
static uint8_t table[TABLE_BYTES];
static pthread_once_t once = PTHREAD_ONCE_INIT;

uint64_t ct_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void make_table(void)
{
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < TABLE_BYTES; i++) {
        table[i] = (uint8_t)(ct_random(&state) >> 32);
    }
}

/* -> bytes at @place, and how many follow without a break */
static const uint8_t *run_at(uint64_t seed, uint64_t offset, size_t wanted, size_t *bytes)
{
    pthread_once(&once, make_table);
    size_t place = (size_t)((seed * 7919 + offset) % TABLE_BYTES);
    size_t left = TABLE_BYTES - place;
    *bytes = wanted < left ? wanted : left;
    return table + place;
}

void ct_pattern_fill(void *out, size_t bytes, uint64_t seed, uint64_t offset)
{
    for (size_t done = 0; done < bytes;) {
        size_t piece;
        const uint8_t *from = run_at(seed, offset + done, bytes - done, &piece);
        memcpy((uint8_t *)out + done, from, piece);
        done += piece;
    }
}

size_t ct_pattern_match(const void *data, size_t bytes, uint64_t seed, uint64_t offset)
{
    for (size_t done = 0; done < bytes;) {
        size_t piece;
        const uint8_t *with = run_at(seed, offset + done, bytes - done, &piece);
        const uint8_t *have = (const uint8_t *)data + done;
        if (memcmp(have, with, piece) != 0) {
            size_t same = 0;
            while (have[same] == with[same]) {
                same++;
            }
            return done + same;
        }
        done += piece;
    }
    return bytes;
}
