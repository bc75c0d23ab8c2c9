/* SPDX-License-Identifier: MIT */
/* A rig's life: open, drive, check, close. */
#include "check.h"
#include "host.h"
#include "settings.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void mark(const char *call)
{
    ct_in_call = call;
    atomic_store_explicit(&ct_report_now()->call, call, memory_order_relaxed);
}

/* From below to above. */
static int open_connectors(struct ct_rig *rig)
{
    const struct ct_subject *subject = rig->subject;
    int code = 0;
    if (subject->base != NULL) {
        rig->base = ct_block_new(subject->base->cx);
        code = subject->base->open(rig->base, rig->given, rig->rt);
    }
    if (code == 0) {
        mark("connector open");
        rig->cx = ct_block_new(subject->cx->cx);
        code = subject->cx->open(rig->cx, rig->given, rig->rt);
        if (code == 0 && subject->base != NULL && rig->lower_events.on_data == NULL) {
            ct_violation(rig, "CX-1: it is a layer, and attached itself to nothing");
        }
        if (code != 0 && subject->base != NULL) {
            subject->base->close(rig->base);
        }
    }
    return code;
}

int ct_rig_open_on(struct ct_rig *rig, const struct aioduct_foreign *foreign)
{
    const struct ct_subject *subject = rig->subject;
    unsigned long self = (unsigned long)pthread_self();
    rig->opener = self;
    rig->muted = false;
    rig->polled_fd = 0;
    atomic_store_explicit(&rig->driver, self, memory_order_relaxed);
    rig->rt = ct_block_new(subject->rt->rt);
    rig->setup = true;
    mark("open");
    int errors = atomic_load(&rig->errors);
    int code = subject->rt->open(rig->rt, rig->given, foreign);
    if (code < 0 && atomic_load(&rig->errors) == errors) {
        ct_violation(rig, "RT-1: open answered %d and did not say why", code);
    }
    if (code == 0 && subject->cx != NULL) {
        code = open_connectors(rig);
        if (code != 0) {
            mark("close");
            subject->rt->close(rig->rt);
        }
    }
    ct_in_call = NULL;
    rig->setup = false;
    if (code > 0) {
        ct_violation(rig, "RT-1: open answered %d", code);
    }
    rig->is_open = code == 0;
    if (code != 0) {
        ct_rig_close(rig);
    }
    return code;
}

int ct_rig_open(struct ct_rig *rig)
{
    return ct_rig_open_on(rig, NULL);
}

/* "RT-15: now_ns went back" -> RT-15; else NULL */
static const char *rule_of(const char *violation, char rule[CT_RULE_BYTES])
{
    size_t bytes = strspn(violation, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-0123456789");
    if (bytes < 4 || bytes >= CT_RULE_BYTES || violation[2] != '-' || violation[bytes] != ':') {
        return NULL;
    }
    memcpy(rule, violation, bytes);
    rule[bytes] = '\0';
    return rule;
}

void ct_check(struct ct_rig *rig)
{
    pthread_mutex_lock(&rig->lock);
    unsigned count = rig->violation_count;
    for (unsigned i = 0; i < count && i < CT_VIOLATIONS; i++) {
        ct_say("%s", rig->violations[i]);
    }
    pthread_mutex_unlock(&rig->lock);
    if (count == 0) {
        return;
    }
    if (count > CT_VIOLATIONS) {
        ct_say("... and %u more", count - CT_VIOLATIONS);
    }
    if (rig->event_count > 0) {
        ct_say("the last callbacks:");
    }
    unsigned first = rig->event_count > CT_EVENTS ? rig->event_count - CT_EVENTS : 0;
    for (unsigned i = first; i < rig->event_count; i++) {
        const struct ct_event *event = &rig->events[i % CT_EVENTS];
        ct_say("  %u %s %p op %d code %d bytes %zu", i, event->what, event->object, event->op,
               event->code, event->bytes);
    }
    char rule[CT_RULE_BYTES];
    ct_end_failed(rule_of(rig->violations[0], rule));
}

/* ---- driving ---- */

struct drive {
    bool driving;
    const char *in_call;
};

/* A call that is to be refused (the loop runs already) is a call like any other. */
static struct drive drive_begin(struct ct_rig *rig, const char *name)
{
    struct drive outer = {rig->driving, ct_in_call};
    atomic_store_explicit(&ct_report_now()->call, name, memory_order_relaxed);
    if (rig->driving) {
        ct_in_call = name;
    } else {
        ct_in_call = NULL;
        rig->driving = true;
        atomic_store_explicit(&rig->driver, (unsigned long)pthread_self(), memory_order_relaxed);
    }
    return outer;
}

static void drive_end(struct ct_rig *rig, struct drive outer, int code)
{
    rig->driving = outer.driving;
    ct_in_call = outer.in_call;
    if (!outer.driving && code == 0 && !rig->last_was_turn_end) {
        ct_violation(rig, "RT-16: block_on or turn returned without a turn_end");
    }
}

int ct_block_on(struct ct_rig *rig, struct ct_task *root)
{
    struct drive outer = drive_begin(rig, "block_on");
    int code = rig->subject->rt->block_on(rig->rt, (struct aioduct_task *)root, root->state);
    drive_end(rig, outer, code);
    if (code > 0 || (code == 0 && !root->ready)) {
        ct_violation(rig, "RT-5: block_on answered %d, its root is %s", code,
                     root->ready ? "ready" : "not ready");
    }
    return code;
}

int ct_turn(struct ct_rig *rig, int64_t timeout_ns)
{
    if (rig->subject->rt->turn == NULL) {
        return AIODUCT_E_UNSUPPORTED;
    }
    uint64_t turns = rig->turns;
    struct drive outer = drive_begin(rig, "turn");
    int code = rig->subject->rt->turn(rig->rt, timeout_ns);
    drive_end(rig, outer, code);
    if (!outer.driving && code == 0 && rig->turns != turns + 1) {
        ct_violation(rig, "RT-16: turn called turn_end %llu times",
                     (unsigned long long)(rig->turns - turns));
    }
    return code;
}

bool ct_drives_by_poll(void)
{
    return ct_settings.by_poll;
}

int ct_poll_fd(struct ct_rig *rig)
{
    const struct aioduct_runtime *rt = rig->subject->rt;
    if (rig->polled_fd == 0) {
        const char *outer = ct_in_call;
        ct_in_call = "poll_fd";
        rig->polled_fd =
            rt->turn != NULL && rt->poll_fd != NULL ? rt->poll_fd(rig->rt) : AIODUCT_E_UNSUPPORTED;
        ct_in_call = outer;
    }
    return rig->polled_fd;
}

static int run_root(struct ct_task *root)
{
    struct ct_rig *rig = root->rig;
    return rig->late || rig->until == NULL || rig->until(rig->until_arg);
}

static void on_late(struct ct_timer *timer)
{
    timer->rig->late = true;
    ct_wake(timer->rig->until_root);
}

/* As an application with a loop of its own does it. */
static void drive_by_poll(struct ct_rig *rig, struct ct_task *root, uint64_t deadline_ns)
{
    assert_int_equal(ct_spawn(root), 0);
    while (!root->ready) {
        uint64_t now = ct_now(rig);
        struct pollfd fd = {.fd = ct_poll_fd(rig), .events = POLLIN};
        int wait_ms = now < deadline_ns ? (int)((deadline_ns - now) / 1000000u) + 1 : 0;
        int ready = poll(&fd, 1, wait_ms);
        if (ready == 0) {
            rig->late = true;
            ct_wake(root);
        }
        assert_int_equal(ct_turn(rig, 0), 0);
    }
}

/* @deadline_ns is when to give up, or when the time is over. */
static void drive(struct ct_rig *rig, bool (*done)(void *arg), void *arg, uint64_t deadline_ns)
{
    struct ct_task *root = ct_task_new(rig, run_root, NULL);
    struct ct_timer *timer = ct_timer_new(rig, on_late, NULL);
    root->own = true;
    timer->own = true;
    rig->late = false;
    rig->until = done;
    rig->until_arg = arg;
    rig->until_root = root;
    if (ct_drives_by_poll()) {
        drive_by_poll(rig, root, deadline_ns);
    } else {
        /* An allocation that the case wants to fail is not one of the rig's. */
        long fail_in = atomic_exchange(&rig->fail_in, 0);
        assert_int_equal(ct_sleep(timer, deadline_ns), 0);
        atomic_store(&rig->fail_in, fail_in);
        assert_int_equal(ct_block_on(rig, root), 0);
        ct_sleep_cancel(timer);
    }
    rig->until = NULL;
    /* The memory of both goes as soon as it may. */
    ct_task_renew(root);
    ct_timer_renew(timer);
}

void ct_until(struct ct_rig *rig, bool (*done)(void *arg), void *arg, const char *what)
{
    drive(rig, done, arg, ct_now(rig) + ct_patience_ns());
    if (rig->late) {
        ct_violation(rig, "waited %d s for: %s", (int)(ct_patience_ns() / 1000000000), what);
    }
    ct_check(rig);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

void ct_run_for(struct ct_rig *rig, unsigned milliseconds)
{
    drive(rig, never, NULL, ct_now(rig) + milliseconds * (uint64_t)1000000);
    ct_check(rig);
}

/* ---- the end ---- */

static bool all_closed(void *arg)
{
    struct ct_rig *rig = arg;
    for (struct ct_stream *stream = rig->streams; stream != NULL; stream = stream->next) {
        if (stream->closing && !stream->closed) {
            return false;
        }
    }
    return true;
}

static void close_streams(struct ct_rig *rig)
{
    for (struct ct_stream *stream = rig->streams; stream != NULL; stream = stream->next) {
        if (stream->dialled && !stream->closing) {
            ct_stream_close(stream);
        }
    }
    if (!all_closed(rig)) {
        drive(rig, all_closed, rig, ct_now(rig) + ct_patience_ns());
        if (rig->late) {
            ct_violation(rig, "ST-16: a stream was not closed in time");
        }
    }
}

static void free_objects(struct ct_rig *rig)
{
    bool whole = true;
    for (struct ct_task *task = rig->tasks, *next; task != NULL; task = next) {
        next = task->next;
        whole = ct_block_free(&rig->graves, task->state) && whole;
        free(task);
    }
    for (struct ct_timer *timer = rig->timers, *next; timer != NULL; timer = next) {
        next = timer->next;
        whole = ct_block_free(&rig->graves, timer->state) && whole;
        free(timer);
    }
    for (struct ct_stream *stream = rig->streams, *next; stream != NULL; stream = next) {
        next = stream->next;
        whole = ct_lower_fini(stream) && whole;
        whole = ct_block_free(&rig->graves, stream->state) && whole;
        free(stream);
    }
    whole = ct_block_free(&rig->graves, rig->cx) && whole;
    whole = ct_block_free(&rig->graves, rig->base) && whole;
    whole = ct_block_free(&rig->graves, rig->rt) && whole;
    if (!whole) {
        ct_violation(rig, "PL-8: state was written to outside its bounds");
    }
    if (!ct_graveyard_clear(&rig->graves)) {
        ct_violation(rig, "PL-8: state was written to after its life");
    }
    rig->tasks = NULL;
    rig->timers = NULL;
    rig->streams = NULL;
    rig->cx = NULL;
    rig->base = NULL;
    rig->rt = NULL;
    rig->lower_task = NULL;
    memset(&rig->lower_events, 0, sizeof rig->lower_events);
}

void ct_rig_close(struct ct_rig *rig)
{
    rig->muted = true;
    rig->callback = NULL; /* a case that failed in a callback left them */
    rig->driving = false;
    ct_in_call = NULL;
    atomic_store(&rig->fail_in, 0);
    if (rig->is_open) {
        close_streams(rig);
        for (struct ct_timer *timer = rig->timers; timer != NULL; timer = timer->next) {
            if (timer->armed) {
                ct_sleep_cancel(timer);
            }
        }
        if (rig->subject->cx != NULL) {
            mark("connector close");
            rig->subject->cx->close(rig->cx);
        }
        if (rig->subject->base != NULL) {
            rig->subject->base->close(rig->base);
        }
        mark("close");
        rig->subject->rt->close(rig->rt);
        ct_in_call = NULL;
        rig->is_open = false;
    }
    free_objects(rig);
    if (rig->live_blocks != 0) {
        ct_violation(rig, "PL-8: %ld allocations of %ld bytes were not given back",
                     (long)rig->live_blocks, (long)rig->live_bytes);
        rig->live_blocks = 0;
    }
}
