/* SPDX-License-Identifier: MIT */
/** Clocks of a transfer: --limit-rate, and -Y with -y. */
#ifndef TOOLS_PACE_H
#define TOOLS_PACE_H

#include <stdbool.h>
#include <stdint.h>

uint64_t clock_ns(void); /* monotonic */

/* Bytes a second, with a burst of a twentieth of that. */
struct pace {
    uint64_t rate; /* 0: no limit */
    uint64_t at_ns;
    int64_t tokens; /* below 0: more was moved than was allowed */
};
void pace_init(struct pace *p, uint64_t rate);
/* Bytes that may be moved now; INT64_MAX without a limit. */
int64_t pace_room(struct pace *p, uint64_t now_ns);
void pace_take(struct pace *p, uint64_t count);
/* Milliseconds until there is room; 0: there is. */
int pace_wait_ms(struct pace *p, uint64_t now_ns);

/* Is a transfer slower than @limit for @seconds? */
struct slowness {
    uint64_t limit; /* 0: nobody asks */
    uint64_t seconds;
    uint64_t sample_ns, sample_bytes, slow_since_ns;
};
void slowness_init(struct slowness *s, uint64_t limit, int seconds, uint64_t now_ns);
/* @moved: bytes so far, both ways. */
bool slowness_check(struct slowness *s, uint64_t moved, uint64_t now_ns);

#endif
