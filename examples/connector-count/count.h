/* SPDX-License-Identifier: MIT */
/** What connector-count has counted, for a program that links it or has its descriptor: ask that
 * for the interface COUNT_IFACE. */
#ifndef EXAMPLES_CONNECTOR_COUNT_H
#define EXAMPLES_CONNECTOR_COUNT_H

#include <stdint.h>

#define COUNT_IFACE "org.example.count/1" /* an id of one's own begins with one's own domain */

struct count_numbers {
    uint32_t size, flags;
    uint64_t dials, connected;
    uint64_t sends, sent_bytes;
    uint64_t slices, received_bytes;
};

struct count_interface {
    uint32_t size, flags;
    /* Of all clients of this process. As far as @out's size reaches. Thread: any. */
    void (*read)(struct count_numbers *out);
};

#endif
