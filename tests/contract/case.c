/* SPDX-License-Identifier: MIT */
#include "case.h"
#include "proc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

unsigned ct_scaled(unsigned count)
{
    const char *percent = getenv("AIODUCT_CONTRACT_SCALE");
    unsigned long scale = percent == NULL ? 100 : strtoul(percent, NULL, 10);
    unsigned long scaled = count * scale / 100;
    return scaled == 0 ? 1 : (unsigned)scaled;
}

/* ---- the suite ---- */

static void quiet(void *ctx, int level, const char *message)
{
    (void)ctx;
    (void)level;
    (void)message;
}

/* Is the runtime one of AIODUCT_REQUIRE, names with commas between them? */
static bool is_required(const char *name)
{
    const char *names = getenv("AIODUCT_REQUIRE");
    size_t bytes = strlen(name);
    while (names != NULL && *names != '\0') {
        size_t one = strcspn(names, ",");
        if (one == bytes && memcmp(names, name, bytes) == 0) {
            return true;
        }
        names += one + (names[one] == ',');
    }
    return false;
}

/* -> 0 runs here; else the suite is over, with this exit status */
static int probe(const struct ct_subject *subject, bool *runs)
{
    struct ct_rig rig;
    ct_rig_init(&rig);
    rig.host.log = quiet;
    rig.setup = true;
    struct aioduct_probe answer = {.size = sizeof answer};
    subject->plugin->probe(&rig.host, &answer);
    *runs = answer.code == 0;
    if (*runs) {
        return 0;
    }
    if (answer.code == AIODUCT_E_UNAVAILABLE && !is_required(subject->name)) {
        return tap_skip_all("%s cannot run here: %s", subject->name, answer.reason);
    }
    printf("1..1\nnot ok 1 - the runtime runs here\n# %s: %d %s (%s)\n", subject->name, answer.code,
           answer.reason, answer.hint);
    return 1;
}

/* Which loopback address the peers have. */
static int family(void)
{
    const char *name = getenv("AIODUCT_CONTRACT_FAMILY");
    return name != NULL && strcmp(name, "ipv6") == 0 ? AF_INET6 : AF_INET;
}

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

/* Some libraries have descriptors that the first loop in a process opens for all that follow: they
 * are no leak, and are there before we count. */
static void keep_what_is_kept(void)
{
    struct ct_rig rig;
    ct_rig_init(&rig);
    if (ct_rig_open(&rig) == 0) {
        ct_rig_close(&rig);
    }
}

int ct_main(const struct CMUnitTest *cases, size_t count)
{
    char why[256] = "";
    let_sanitizer_start();
    const struct ct_subject *subject = ct_subject_load(why);
    if (subject == NULL) {
        printf("1..1\nnot ok 1 - the plugin loads\n# %s\n", why);
        return 1;
    }
    bool runs;
    int status = probe(subject, &runs);
    if (!runs) {
        return status;
    }
    keep_what_is_kept();
    if (ct_drives_by_poll() && (subject->rt->turn == NULL || subject->rt->poll_fd == NULL)) {
        return tap_skip_all("%s has no turn or no poll_fd", subject->name);
    }
    if (family() == AF_INET6 && !ct_has_ipv6()) {
        return tap_skip_all("this machine has no ::1");
    }
    return tap_run(cases, count, NULL, NULL);
}

/* ---- a case ---- */

int ct_bare_setup(void **state)
{
    struct ct_case *c = calloc(1, sizeof *c);
    if (c == NULL) {
        return -1;
    }
    c->fds_before = ct_fd_count();
    static unsigned threads; /* of the first case: peers of the one before may linger */
    threads = threads == 0 ? ct_thread_count_settled(ct_under_sanitizer() ? 2 : 1) : threads;
    c->threads_before = threads;
    ct_rig_init(&c->rig);
    *state = c;
    return 0;
}

int ct_case_setup(void **state)
{
    if (ct_bare_setup(state) != 0) {
        return -1;
    }
    struct ct_case *c = *state;
    ct_listen(&c->listener, family());
    return ct_rig_open(&c->rig);
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

int ct_case_teardown(void **state)
{
    struct ct_case *c = *state;
    ct_rig_close(&c->rig);
    end_peers(c);
    while (c->fd_count > 0) {
        drop(c, c->fds[0], false);
    }
    ct_unlisten(&c->listener);
    unsigned fds = ct_fd_count(), threads = ct_thread_count_settled(c->threads_before);
    if (fds != c->fds_before) {
        ct_violation(&c->rig, "RT-2: %u descriptors before the case, %u after it", c->fds_before,
                     fds);
    }
    if (threads != c->threads_before) {
        ct_violation(&c->rig, "RT-2: %u threads before the case, %u after it", c->threads_before,
                     threads);
    }
    for (struct ct_peer *peer = c->peers, *next; peer != NULL; peer = next) {
        next = peer->next;
        free(peer);
    }
    static struct ct_rig last; /* ct_check may leave by a jump */
    last = c->rig;
    free(c);
    ct_check(&last);
    return 0;
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
    assert_int_equal(ct_connect(stream, &config), AIODUCT_PENDING);
    return stream;
}

struct ct_stream *ct_dial(struct ct_case *c, int *peer_fd)
{
    struct ct_stream *stream = ct_dial_to(c, &c->listener);
    CT_UNTIL(&c->rig, ct_is_connect_done, stream);
    assert_int_equal(stream->connect.code, 0);
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
    ct_stream_close(stream);
    CT_UNTIL(stream->rig, ct_is_closed, stream);
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
    fail_msg("a peer that does not read takes %llu bytes", (unsigned long long)*at);
}
