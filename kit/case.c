/* SPDX-License-Identifier: MIT */
#include "case.h"
#include "proc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct ct_settings ct_settings = {.seed = 1, .scale_percent = 100, .timeout_s = 60};

static struct {
    const struct ct_target *plugin, *runtime;
    uint64_t name_hash;
} current;

unsigned ct_scaled(unsigned count)
{
    uint64_t scaled = (uint64_t)count * ct_settings.scale_percent / 100;
    return scaled == 0 ? 1 : (unsigned)scaled;
}

uint64_t ct_seed(uint64_t salt)
{
    uint64_t state = (ct_settings.seed + salt * 0x9e3779b97f4a7c15u) ^ current.name_hash;
    state |= 1;
    for (int i = 0; i < 8; i++) {
        ct_random(&state);
    }
    return state;
}

uint64_t ct_patience_ns(void)
{
    return (ct_settings.timeout_s + 2) / 3 * (uint64_t)1000000000;
}

const struct ct_target *ct_case_plugin(void)
{
    return current.plugin;
}

const struct ct_target *ct_case_runtime(void)
{
    return current.runtime;
}

/* ---- a case's process ---- */

static void *do_nothing(void *arg)
{
    return arg;
}

/* A sanitizer starts a thread of its own with the first of ours: before we count. */
static void let_sanitizer_start(void)
{
    pthread_t thread;
    if (ct_under_sanitizer() && pthread_create(&thread, NULL, do_nothing, NULL) == 0) {
        pthread_join(thread, NULL);
    }
}

static void load(enum ct_level level)
{
    char why[CT_WHY_BYTES];
    enum ct_loaded wanted = level == CT_FROM_PLUGIN ? CT_LOADED_PLUGIN : CT_LOADED_TABLES;
    if (ct_subject_load(current.plugin, current.runtime, why) < wanted) {
        ct_fail("%s", why);
    }
}

/* Some libraries have descriptors that the first loop in a process opens for all that follow: they
 * are no leak, and are there before we count. */
static void keep_what_is_kept(void)
{
    static struct ct_rig rig;
    ct_rig_init(&rig);
    if (ct_rig_open(&rig) == 0) {
        ct_rig_close(&rig);
    }
}

static int family(void)
{
    return ct_settings.over_ipv6 ? AF_INET6 : AF_INET;
}

void ct_case_open(struct ct_case *c)
{
    ct_listen(&c->listener, family());
    const char *before = ct_blame("RT-1");
    int code = ct_rig_open(&c->rig);
    if (code != 0) {
        ct_say("open said: %s", c->rig.error_text[0] == '\0' ? "nothing" : c->rig.error_text);
    }
    assert_int_equal(code, 0);
    ct_blame(before);
}

static void tear_down(struct ct_case *c, const char *leak_rule);

void ct_case_run(const struct ct_instance *instance, const struct ct_target *plugin,
                 const struct ct_target *runtime)
{
    static struct ct_case c;
    enum ct_level level = instance->test->level;
    current.plugin = plugin;
    current.runtime = runtime;
    current.name_hash = 14695981039346656037u;
    for (const char *at = instance->test->name; *at != '\0'; at++) {
        current.name_hash = (current.name_hash ^ (unsigned char)*at) * 1099511628211u;
    }
    ct_settings.by_poll = instance->by_poll;
    ct_settings.over_ipv6 = instance->over_ipv6;
    let_sanitizer_start();
    if (level > CT_FROM_FILE) {
        load(level);
    }
    ct_signals_now(&c.signals_before);
    if (level >= CT_FROM_TABLES) {
        keep_what_is_kept();
    }
    c.fds_before = ct_fd_count();
    c.threads_before = ct_thread_count_settled(ct_under_sanitizer() ? 3 : 1);
    ct_rig_init(&c.rig);
    if (level == CT_FROM_RIG) {
        ct_case_open(&c);
    }
    instance->test->run(&c);
    /* What is left although no instance was opened, the case's own rule forbids. */
    tear_down(&c, level >= CT_FROM_TABLES ? "RT-2" : instance->test->rules[0]);
    ct_end_passed();
}

/* @reset: how the other side sees it. */
static void drop(struct ct_case *c, int fd, bool reset)
{
    for (unsigned i = 0; i < c->fd_count; i++) {
        if (c->fds[i] == fd) {
            c->fds[i] = c->fds[--c->fd_count];
            if (reset) {
                ct_reset(fd);
            } else {
                close(fd);
            }
            return;
        }
    }
}

static void end_peers(struct ct_case *c)
{
    for (struct ct_peer *peer = c->peers; peer != NULL; peer = peer->next) {
        if (!peer->joined) {
            shutdown(peer->fd, SHUT_RDWR); /* whatever it waits for */
            ct_peer_join(peer);
        }
    }
}

static void tear_down(struct ct_case *c, const char *leak_rule)
{
    ct_rig_close(&c->rig);
    end_peers(c);
    while (c->fd_count > 0) {
        drop(c, c->fds[0], false);
    }
    ct_unlisten(&c->listener);
    unsigned fds = ct_fd_count(), threads = ct_thread_count_settled(c->threads_before);
    if (fds != c->fds_before) {
        ct_violation(&c->rig, "%s: %u descriptors before the case, %u after it", leak_rule,
                     c->fds_before, fds);
    }
    if (threads > c->threads_before) {
        ct_violation(&c->rig, "%s: %u threads before the case, %u after it", leak_rule,
                     c->threads_before, threads);
    }
    for (struct ct_peer *peer = c->peers, *next; peer != NULL; peer = next) {
        next = peer->next;
        free(peer);
    }
    ct_check(&c->rig);
}

int ct_keep_fd(struct ct_case *c, int fd)
{
    assert_true(fd >= 0 && c->fd_count < CT_FDS_MAX);
    c->fds[c->fd_count++] = fd;
    return fd;
}

void ct_drop_fd(struct ct_case *c, int fd)
{
    drop(c, fd, false);
}

void ct_drop_fd_by_reset(struct ct_case *c, int fd)
{
    drop(c, fd, true);
}

struct ct_peer *ct_start(struct ct_case *c, void (*run)(struct ct_peer *peer), int fd,
                         uint64_t seed, uint64_t bytes)
{
    struct ct_peer *peer = calloc(1, sizeof *peer);
    assert_non_null(peer);
    peer->run = run;
    peer->fd = fd;
    peer->seed = seed;
    peer->bytes = bytes;
    ct_peer_start(peer);
    peer->next = c->peers;
    c->peers = peer;
    return peer;
}

/* ---- streams ---- */

bool ct_is_connect_done(void *arg)
{
    return !((struct ct_stream *)arg)->connect.in_flight;
}

bool ct_is_recv_done(void *arg)
{
    return !((struct ct_stream *)arg)->recv.in_flight;
}

bool ct_is_send_done(void *arg)
{
    return !((struct ct_stream *)arg)->send.in_flight;
}

bool ct_is_shutdown_done(void *arg)
{
    return !((struct ct_stream *)arg)->shutdown.in_flight;
}

bool ct_is_closed(void *arg)
{
    return ((struct ct_stream *)arg)->closed;
}

bool ct_has_data(void *arg)
{
    return ((struct ct_stream *)arg)->received > 0;
}

struct ct_stream *ct_dial_to(struct ct_case *c, const struct ct_listener *listener)
{
    struct aioduct_socket_config config; /* the address, which is lent for longer, outlives it */
    ct_config(&config, listener);
    struct ct_stream *stream = ct_stream_new(&c->rig);
    const char *before = ct_blame_helper("CX-2");
    assert_int_equal(ct_connect(stream, &config), AIODUCT_PENDING);
    ct_blame(before);
    return stream;
}

struct ct_stream *ct_dial(struct ct_case *c, int *peer_fd)
{
    struct ct_stream *stream = ct_dial_to(c, &c->listener);
    const char *before = ct_blame_helper("CX-2");
    CT_UNTIL(&c->rig, ct_is_connect_done, stream);
    ct_blame(before == NULL ? "CX-3" : before);
    assert_int_equal(stream->connect.code, 0);
    ct_blame(before);
    if (peer_fd != NULL) {
        *peer_fd = ct_keep_fd(c, ct_accept(&c->listener));
    }
    return stream;
}

int ct_dial_result(struct ct_case *c, struct ct_stream *stream,
                   const struct aioduct_socket_config *config)
{
    int code = ct_connect(stream, config);
    if (code < 0) {
        return code;
    }
    CT_UNTIL(&c->rig, ct_is_connect_done, stream);
    return stream->connect.code;
}

void ct_close_and_wait(struct ct_stream *stream)
{
    const char *before = ct_blame_helper("ST-16");
    ct_stream_close(stream);
    CT_UNTIL(stream->rig, ct_is_closed, stream);
    ct_blame(before);
}

void ct_send_until_pending(struct ct_stream *stream, uint64_t seed, uint64_t *at)
{
    enum { CHUNK_BYTES = 4 << 20 };
    static uint8_t chunk[CHUNK_BYTES];
    for (int i = 0; i < 64; i++) {
        /* The bytes before this chunk were taken, so the buffer is free. */
        ct_pattern_fill(chunk, sizeof chunk, seed, *at);
        *at += sizeof chunk;
        int code = ct_send_bytes(stream, chunk, sizeof chunk);
        assert_true(code >= 0);
        if (code == AIODUCT_PENDING) {
            /* uring answers PENDING to every send: give it the time to finish a small one. */
            ct_run_for(stream->rig, 20);
            if (stream->send.in_flight) {
                return;
            }
            assert_int_equal(stream->send.code, 0);
        }
    }
    ct_fail("a peer that does not read takes %llu bytes", (unsigned long long)*at);
}
