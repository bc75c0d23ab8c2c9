/* SPDX-License-Identifier: MIT */
#include "http/push.h"

#include "base/buf.h"
#include "base/mem.h"

#include <aioduct/request.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

struct ad_push {
    /* shared, under the lock */
    pthread_mutex_t lock;
    struct ad_buf bytes;
    bool ended, stopped;
    bool short_of_room; /* a write took less than it was given */
};

struct ad_push *ad_push_create(void)
{
    struct ad_push *push = ad_zalloc(sizeof *push);
    if (push != NULL) {
        pthread_mutex_init(&push->lock, NULL);
    }
    return push;
}

void ad_push_destroy(struct ad_push *push)
{
    if (push != NULL) {
        pthread_mutex_destroy(&push->lock);
        ad_buf_fini(&push->bytes);
        ad_free(push);
    }
}

static int64_t take(struct ad_push *push, const void *bytes, size_t count)
{
    if (push->ended) {
        return -EINVAL;
    }
    if (push->stopped) {
        return -EPIPE;
    }
    size_t room = AD_PUSH_BYTES - ad_buf_bytes(&push->bytes);
    size_t taken = count < room ? count : room;
    if (taken > 0 && ad_buf_append(&push->bytes, bytes, taken) < 0) {
        return -ENOMEM;
    }
    push->short_of_room = push->short_of_room || taken < count;
    return (int64_t)taken;
}

int64_t ad_push_write(struct ad_push *push, const void *bytes, size_t count)
{
    pthread_mutex_lock(&push->lock);
    int64_t taken = take(push, bytes, count);
    pthread_mutex_unlock(&push->lock);
    return taken;
}

int ad_push_end(struct ad_push *push)
{
    pthread_mutex_lock(&push->lock);
    int code = push->ended ? -EINVAL : 0;
    push->ended = true;
    pthread_mutex_unlock(&push->lock);
    return code;
}

int64_t ad_push_read(struct ad_push *push, void *to, size_t capacity, bool *out_writable)
{
    pthread_mutex_lock(&push->lock);
    size_t have = ad_buf_bytes(&push->bytes);
    size_t count = have < capacity ? have : capacity;
    int64_t got = (int64_t)count;
    if (count > 0) {
        memcpy(to, ad_buf_data(&push->bytes), count);
        ad_buf_consume(&push->bytes, count);
    } else if (!push->ended) {
        got = AIODUCT_BODY_WAIT;
    }
    /* Told once there is room for a large piece, not for every byte. */
    *out_writable = push->short_of_room && ad_buf_bytes(&push->bytes) <= AD_PUSH_BYTES / 2;
    push->short_of_room = push->short_of_room && !*out_writable;
    if (ad_buf_bytes(&push->bytes) == 0) {
        ad_buf_fini(&push->bytes); /* one that waits owns no memory */
    }
    pthread_mutex_unlock(&push->lock);
    return got;
}

void ad_push_stop(struct ad_push *push)
{
    pthread_mutex_lock(&push->lock);
    push->stopped = true;
    ad_buf_fini(&push->bytes);
    pthread_mutex_unlock(&push->lock);
}
