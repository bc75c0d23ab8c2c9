/* SPDX-License-Identifier: MIT */
/**
 * settings.h - how the cases of this run are to go: set by the runner, read by cases.
 */
#ifndef CT_SETTINGS_H
#define CT_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

struct ct_settings {
    uint64_t seed;
    unsigned scale_percent;
    unsigned timeout_s; /* of a case */
    bool by_poll;       /* drive the loop by poll_fd and turn instead of block_on */
    bool over_ipv6;     /* peers on ::1 */
};
extern struct ct_settings ct_settings;

/* @count scaled by what was asked for; at least 1. */
unsigned ct_scaled(unsigned count);
/* Where a sequence of ct_random begins, another for each @salt and case: not 0. */
uint64_t ct_seed(uint64_t salt);
/* How long to wait for what must come: only a broken runtime takes this long, also on a busy
 * machine under a sanitizer. */
uint64_t ct_patience_ns(void);

#endif
