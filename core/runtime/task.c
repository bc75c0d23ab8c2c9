/* SPDX-License-Identifier: MIT */
/* Tasks and posts. ad_task_spawn is the executor: the one place that knows which spawn a runtime
 * has. */
#include "base/assert.h"
#include "base/mem.h"
#include "runtime/loop_private.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

static struct aioduct_task *opaque(struct ad_task *task)
{
    return (struct aioduct_task *)(void *)task;
}

int ad_task_create(struct ad_loop *loop, ad_task_fn run, void *user, struct ad_task **out)
{
    void *state;
    struct ad_task *task = ad_runtime_alloc_pair(sizeof *task, &loop->plugin->runtime.task, &state);
    if (task == NULL) {
        return -ENOMEM;
    }
    task->loop = loop;
    task->run = run;
    task->user = user;
    task->state = state;
    *out = task;
    return 0;
}

int ad_task_spawn(struct ad_task *task)
{
    const struct ad_plugin *plugin = task->loop->plugin;
    AD_ASSERT(!task->handed);
    task->handed = true;
    int code = task->loop->local
                   ? plugin->local.spawn_local(task->loop->rt, opaque(task), task->state)
                   : plugin->poll.spawn_send(task->loop->rt, opaque(task), task->state);
    if (code < 0) {
        task->handed = false;
    }
    return code;
}

void ad_task_wake(struct ad_task *task)
{
    task->loop->plugin->runtime.wake(task->loop->rt, opaque(task), task->state);
}

void ad_task_destroy(struct ad_task *task)
{
    if (task != NULL) {
        AD_ASSERT(task->ready || !task->handed);
        ad_free(task);
    }
}

void ad_task_reset(struct ad_task *task)
{
    AD_ASSERT(task->ready || !task->handed);
    memset(task->state, 0, task->loop->plugin->runtime.task.bytes);
    task->ready = task->handed = false;
}

int ad_task_run(void *ctx, struct aioduct_task *opaque_task)
{
    struct ad_loop *loop = ctx;
    struct ad_task *task = (struct ad_task *)(void *)opaque_task;
    AD_ASSERT(task->loop == loop && !task->ready);
    ad_loop_enter(loop);
    int ready = task->run(task, task->user);
    ad_loop_leave(loop);
    if (ready) {
        task->ready = true;
    }
    return ready;
}

/* ---- posts ---- */

void ad_loop_post(struct ad_loop *loop, struct ad_post *post)
{
    atomic_fetch_add_explicit(&loop->posters, 1, memory_order_relaxed);
    struct ad_post *head = atomic_load_explicit(&loop->posts, memory_order_relaxed);
    do {
        post->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&loop->posts, &head, post, memory_order_release,
                                                    memory_order_relaxed));
    if (head == NULL) {
        ad_task_wake(loop->mailbox);
    }
    /* What was posted may have run by now, and may have been the word to close the loop. */
    atomic_fetch_sub_explicit(&loop->posters, 1, memory_order_release);
}

void ad_posters_wait(struct ad_loop *loop)
{
    while (atomic_load_explicit(&loop->posters, memory_order_acquire) != 0) {
        sched_yield();
    }
}

/* All that were posted, oldest first. */
static struct ad_post *take_posts(struct ad_loop *loop)
{
    struct ad_post *newest = atomic_exchange_explicit(&loop->posts, NULL, memory_order_acquire);
    struct ad_post *oldest = NULL;
    while (newest != NULL) {
        struct ad_post *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

static void run_posts(struct ad_post *oldest)
{
    while (oldest != NULL) {
        struct ad_post *next = oldest->next;
        oldest->run(oldest);
        oldest = next;
    }
}

static void run_late_posts(struct ad_loop *loop)
{
    struct ad_post *late = loop->late_posts;
    loop->late_posts = NULL;
    run_posts(late);
}

void ad_posts_run(struct ad_loop *loop)
{
    run_late_posts(loop);
    run_posts(take_posts(loop));
}

/* What is posted in answer to a callback may arrive in the same turn, when the streams have not
 * been asked since: a connection that its server ended right after the answer would look alive. So
 * what comes in a turn in which streams had something to say waits for the next one, which does
 * not wait. */
static int on_mailbox(struct ad_task *task, void *user)
{
    struct ad_loop *loop = user;
    run_late_posts(loop);
    struct ad_post *posts = take_posts(loop);
    if (loop->heard && posts != NULL) {
        loop->late_posts = posts;
        ad_task_wake(task);
    } else {
        run_posts(posts);
    }
    if (loop->rearm) {
        ad_deadline_rearm(loop);
    }
    return 0;
}

int ad_mailbox_open(struct ad_loop *loop)
{
    int code = ad_task_create(loop, on_mailbox, loop, &loop->mailbox);
    if (code < 0) {
        return code;
    }
    return ad_task_spawn(loop->mailbox);
}

void ad_mailbox_close(struct ad_loop *loop)
{
    ad_free(loop->mailbox); /* never ready; the runtime that knew it is closed */
}
