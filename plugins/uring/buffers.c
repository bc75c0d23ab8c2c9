/* SPDX-License-Identifier: MIT */
/*
 * Receive buffers that the kernel picks from, so that an idle connection owns none. With a buffer
 * ring a buffer goes back by a store into shared memory; without, by a submission. A slice is lent
 * to the core only while on_data runs, so every buffer is back before the next one is looked at,
 * and the kernel can run out only of what one batch of completions brought.
 *
 * The kernel takes the buffers of a ring in turn, so memory is as warm as they are few. It starts
 * with few; each receive that finds too few adds one, and after a long calm one is kept back.
 */
#include "uring/uring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* With a ring the kernel has at least so many: half a megabyte of 16 KiB each, twice what a receive
 * may bring in a run. */
#define LEAST 32u
/* Rounds in which no receive found too few, before one is kept back. */
#define CALM_ROUNDS 256u

static void *map(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static uint8_t *address_of(const struct ad_uring_buffers *b, unsigned id)
{
    return b->memory + (size_t)id * b->bytes;
}

static size_t ring_bytes(const struct ad_uring_buffers *b)
{
    return b->count * sizeof(struct io_uring_buf);
}

static void unmap_ring(struct ad_uring_buffers *b)
{
    if (b->ring != NULL) {
        munmap(b->ring, ring_bytes(b));
        b->ring = NULL;
    }
}

/* -> 0; -EINVAL: the kernel has no buffer rings; other -errno */
static int register_ring(struct ad_uring *u)
{
    struct ad_uring_buffers *b = &u->buffers;
    b->ring = map(ring_bytes(b));
    if (b->ring == NULL) {
        return -ENOMEM;
    }
    /* The kernel reads the very pages: a fork must not give us copies to write to instead. */
    if (madvise(b->ring, ring_bytes(b), MADV_DONTFORK) < 0) {
        return -errno;
    }
    struct io_uring_buf_reg reg = {
        .ring_addr = (uintptr_t)b->ring, .ring_entries = b->count, .bgid = AD_URING_BUFFER_GROUP};
    if (u->tag == 0) {
        return io_uring_register_buf_ring(u->ring, &reg, 0);
    }
    int code = -EEXIST;
    for (unsigned i = 0; code == -EEXIST && i < AD_URING_FOREIGN_GROUPS; i++) {
        b->group = reg.bgid = (uint16_t)(AD_URING_FOREIGN_GROUP + i);
        code = io_uring_register_buf_ring(u->ring, &reg, 0);
    }
    return code;
}

static void hand(struct ad_uring_buffers *b, uint16_t id)
{
    if (b->ring == NULL) {
        b->waiting[b->waiting_count++] = id;
        return;
    }
    io_uring_buf_ring_add(b->ring, address_of(b, id), b->bytes, id,
                          io_uring_buf_ring_mask(b->count), 0);
    io_uring_buf_ring_advance(b->ring, 1);
}

/* With the ring as it is: a buffer ring if the kernel has it, and all buffers handed over. */
static int hand_over(struct ad_uring *u)
{
    struct ad_uring_buffers *b = &u->buffers;
    b->waiting_count = 0;
    b->calm_rounds = 0;
    if ((u->options.without & AD_URING_NO_BUFFER_RING) == 0) {
        int code = register_ring(u);
        if (code < 0 && code != -EINVAL) {
            return code;
        }
        if (code == -EINVAL) {
            unmap_ring(b);
            u->options.without |= AD_URING_NO_BUFFER_RING;
        }
    }
    if (b->ring != NULL) {
        io_uring_buf_ring_init(b->ring);
    } else if (b->waiting == NULL) {
        b->waiting = u->host->alloc(u->host->ctx, NULL, b->count * sizeof *b->waiting, 0);
        if (b->waiting == NULL) {
            return -ENOMEM;
        }
    }
    unsigned first = b->ring != NULL && b->count > LEAST ? LEAST : b->count;
    for (b->active = 0; b->active < first; b->active++) {
        hand(b, (uint16_t)b->active);
    }
    return 0;
}

int ad_uring_buffers_open(struct ad_uring *u)
{
    struct ad_uring_buffers *b = &u->buffers;
    b->count = u->options.buffers;
    b->bytes = u->options.buffer_bytes;
    b->memory = map((size_t)b->count * b->bytes);
    b->bulk = map(AD_URING_BULK_BYTES);
    return b->memory == NULL || b->bulk == NULL ? -ENOMEM : hand_over(u);
}

/* The old one was not inherited (MADV_DONTFORK), and its place may be somebody else's by now. */
int ad_uring_buffers_reopen(struct ad_uring *u)
{
    u->buffers.ring = NULL;
    return hand_over(u);
}

void ad_uring_buffers_close(struct ad_uring *u)
{
    struct ad_uring_buffers *b = &u->buffers;
    if (u->tag != 0 && b->ring != NULL) {
        io_uring_unregister_buf_ring(u->ring, b->group);
    }
    unmap_ring(b);
    if (b->memory != NULL) {
        munmap(b->memory, (size_t)b->count * b->bytes);
    }
    if (b->bulk != NULL) {
        munmap(b->bulk, AD_URING_BULK_BYTES);
    }
    if (b->waiting != NULL) {
        u->host->alloc(u->host->ctx, b->waiting, 0, 0);
    }
    b->memory = b->bulk = NULL;
    b->waiting = NULL;
}

void ad_uring_buffer_return(struct ad_uring_buffers *b, uint16_t id)
{
    bool round = b->ring != NULL && b->active > LEAST && id + 1u == b->active;
    if (round && ++b->calm_rounds == CALM_ROUNDS) {
        b->calm_rounds = 0;
        b->active--;
    } else {
        hand(b, id);
    }
}

void ad_uring_buffers_grow(struct ad_uring_buffers *b)
{
    b->calm_rounds = 0;
    if (b->active < b->count) {
        hand(b, (uint16_t)b->active++);
    }
}

bool ad_uring_buffers_flush(struct ad_uring *u)
{
    struct ad_uring_buffers *b = &u->buffers;
    while (b->ring == NULL && b->waiting_count > 0) {
        struct io_uring_sqe *sqe = ad_uring_ring_sqe(u->ring);
        if (sqe == NULL) {
            return false;
        }
        /* Neighbours that wait together go together: at the start that is all of them. */
        uint16_t id = b->waiting[--b->waiting_count];
        unsigned run = 1;
        while (b->waiting_count > 0 && b->waiting[b->waiting_count - 1] == id - 1) {
            id = b->waiting[--b->waiting_count];
            run++;
        }
        io_uring_prep_provide_buffers(sqe, address_of(b, id), (int)b->bytes, (int)run, b->group,
                                      id);
        sqe->user_data = AD_URING_PROVIDE | (uint64_t)id << 16 | (uint64_t)run << 32;
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    }
    return true;
}

/* Those that the kernel did not take, for want of memory, are offered again. */
void ad_uring_buffers_provided(struct ad_uring_buffers *b, uint64_t user_data, int result)
{
    unsigned id = (user_data >> 16) & 0xffff;
    unsigned run = (unsigned)(user_data >> 32);
    for (unsigned i = 0; result < 0 && i < run; i++) {
        b->waiting[b->waiting_count++] = (uint16_t)(id + i);
    }
}

void ad_uring_buffer_deliver(struct ad_uring *u, struct ad_uring_stream *s, uint16_t id,
                             size_t bytes)
{
    if (!s->closing) {
        ad_uring_recv_displace(s);
        u->host->on_data(u->host->ctx, s->core, address_of(&u->buffers, id), bytes);
    }
    ad_uring_buffer_return(&u->buffers, id);
}
