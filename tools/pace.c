/* SPDX-License-Identifier: MIT */
#include "pace.h"

#include <time.h>

#define SECOND_NS 1000000000u

uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* ---- a limit ---- */

static int64_t burst(const struct pace *p)
{
    return p->rate < 20 ? 1 : (int64_t)(p->rate / 20);
}

void pace_init(struct pace *p, uint64_t rate)
{
    *p = (struct pace){.rate = rate, .at_ns = clock_ns()};
    p->tokens = burst(p);
}

int64_t pace_room(struct pace *p, uint64_t now_ns)
{
    if (p->rate == 0) {
        return INT64_MAX;
    }
    double earned = (double)(now_ns - p->at_ns) * (double)p->rate / SECOND_NS;
    if (earned >= 1) { /* what is less than a byte stays in the clock */
        int64_t whole = (int64_t)earned;
        p->at_ns += (uint64_t)((double)whole * SECOND_NS / (double)p->rate);
        p->tokens += whole;
        if (p->tokens > burst(p)) {
            p->tokens = burst(p);
        }
    }
    return p->tokens;
}

void pace_take(struct pace *p, uint64_t count)
{
    if (p->rate != 0) {
        p->tokens -= (int64_t)count;
    }
}

int pace_wait_ms(struct pace *p, uint64_t now_ns)
{
    int64_t room = pace_room(p, now_ns);
    if (room > 0) {
        return 0;
    }
    double ms = (double)(1 - room) * 1000 / (double)p->rate;
    return ms > 1000 ? 1000 : (int)ms + 1;
}

/* ---- slowness ---- */

void slowness_init(struct slowness *s, uint64_t limit, int seconds, uint64_t now_ns)
{
    *s = (struct slowness){
        .limit = limit, .seconds = (uint64_t)seconds, .sample_ns = now_ns, .slow_since_ns = now_ns};
}

bool slowness_check(struct slowness *s, uint64_t moved, uint64_t now_ns)
{
    uint64_t since = now_ns - s->sample_ns;
    if (s->limit == 0 || s->seconds == 0 || since < SECOND_NS / 2) {
        return false;
    }
    double speed = (double)(moved - s->sample_bytes) * SECOND_NS / (double)since;
    s->sample_ns = now_ns;
    s->sample_bytes = moved;
    if (speed >= (double)s->limit) {
        s->slow_since_ns = now_ns;
    }
    return now_ns - s->slow_since_ns >= s->seconds * SECOND_NS;
}
