/* SPDX-License-Identifier: MIT */
/**
 * A runtime for tests: a clock that moves only when the test says so, and streams that do what the
 * test says. The core above it is the real one.
 */
#ifndef TESTS_UNIT_NET_FAKE_RUNTIME_H
#define TESTS_UNIT_NET_FAKE_RUNTIME_H

#include "base/buf.h"
#include "net/resolve.h"
#include "runtime/loop.h"

#include <aioduct/plugin/plugin.h>
#include <stdbool.h>

struct fake;

/* One stream that was dialled; stays readable until fake_destroy. */
struct fake_conn {
    struct fake_conn *next;
    struct fake *fake;
    struct aioduct_stream *stream;       /* NULL once closed */
    struct aioduct_socket_config config; /* as dialled; its pointers are dead later */
    char address[AD_ADDR_TEXT_BYTES];    /* dialled */
    char local_address[AD_ADDR_TEXT_BYTES];
    unsigned inflight; /* AIODUCT_OP_* */
    bool closing, closed;
    unsigned recv_starts, recv_stops, sends;
    int send_answer;     /* what send says: AIODUCT_DONE, AIODUCT_PENDING or negative */
    struct ad_buf sent;  /* bytes of sends that were done or completed with 0 */
    const uint8_t *lent; /* the pending send's, and what they were */
    size_t lent_count;
    uint8_t *snapshot;
};

struct fake *fake_create(void);
/* Every stream must have been closed. */
void fake_destroy(struct fake *fake);
struct ad_loop *fake_loop(struct fake *fake);

void fake_advance_ms(struct fake *fake, uint64_t ms);
/* Run what is ready, until nothing is. */
void fake_run(struct fake *fake);
/* Turn, waiting for other threads, until *@flag is not 0; false after ten seconds. */
bool fake_wait(struct fake *fake, const int *flag);

/* Answer of the next connects: AIODUCT_PENDING (as at first) or negative. */
void fake_connect_answer(struct fake *fake, int answer);
/* Answer of the first send of streams that are dialled from now on. */
void fake_send_answer(struct fake *fake, int answer);
unsigned fake_conn_count(struct fake *fake);
struct fake_conn *fake_conn_at(struct fake *fake, unsigned i); /* in order of dialling */

/* To happen in the next turn, in this order. */
void fake_done(struct fake_conn *conn, int op, int code);
void fake_data(struct fake_conn *conn, const void *bytes, size_t count);

#endif
