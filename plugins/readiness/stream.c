/* SPDX-License-Identifier: MIT */
/* The operations of a stream over a non-blocking socket. A result that is known inside the call
 * that asked for it is put off: the stream is listed, and ad_readiness_deliver tells the core. */
#include "readiness/readiness.h"
#include "socket/socket.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

enum { PHASE_NEW, PHASE_CONNECTING, PHASE_OPEN, PHASE_DEAD /* connect failed */ };

/* The send in flight: of pieces or of a piece of a file; it waits for room (the stream has a rest),
 * or what became of it is known (it has over). */
enum { PIECES_WAIT, PIECES_OVER, FILE_WAITS, FILE_OVER };

/* A flow that fills the buffer this often is worth a larger one, up to where more gains nothing. */
enum { FULL_READS = 2, SCRATCH_BYTES_MAX = 524288 };
/* One stream reads at most this much before others have their turn. */
enum { PLACES = 63 }; /* what the number of one has room for */
enum { READ_BYTES_A_TURN = 1048576, FILE_BYTES_A_TURN = 524288 };

static struct ad_readiness_stream *stream_of(struct ad_watch *watch)
{
    return (struct ad_readiness_stream *)(void *)((char *)watch -
                                                  offsetof(struct ad_readiness_stream, watch));
}

/* ---- all that have a descriptor ---- */

static void note_open(struct ad_readiness_stream *s)
{
    struct ad_readiness *loop = s->watch.cx->loop;
    s->next = loop->open;
    s->link = &loop->open;
    if (s->next != NULL) {
        s->next->link = &s->next;
    }
    loop->open = s;
}

static void forget_open(struct ad_readiness_stream *s)
{
    *s->link = s->next;
    if (s->next != NULL) {
        s->next->link = s->link;
    }
}

static void list(struct ad_readiness_stream *s)
{
    struct ad_readiness *loop = s->watch.cx->loop;
    if (s->watch.listed) {
        return;
    }
    forget_open(s);
    s->watch.listed = true;
    s->next = NULL;
    *loop->due_end = s;
    loop->due_end = &s->next;
    ad_readiness_nudge(loop);
}

static struct ad_readiness_stream *take_due(struct ad_readiness *loop)
{
    struct ad_readiness_stream *s = loop->due;
    loop->due = s->next;
    if (s->next == NULL) {
        loop->due_end = &loop->due;
    }
    s->watch.listed = false;
    note_open(s);
    return s;
}

struct ad_readiness_stream *ad_readiness_stream_after(const struct ad_readiness *loop,
                                                      const struct ad_readiness_stream *s)
{
    struct ad_readiness_stream *next = s == NULL ? loop->due : s->next;
    return next == NULL && (s == NULL || s->watch.listed) ? loop->open : next;
}

void ad_readiness_streams_drop(struct ad_readiness *loop)
{
    struct ad_readiness_stream *s = NULL;
    while ((s = ad_readiness_stream_after(loop, s)) != NULL) {
        ad_readiness_watch_end(&s->watch);
    }
    loop->open = loop->due = NULL;
    loop->due_end = &loop->due;
}

/* ---- where the next bytes go ---- */

/* Few streams have a place at a time, and it is a hint: the loop keeps so many of them, and a
 * stream the number of its own. */
static struct iovec *place_of(const struct ad_readiness_stream *s)
{
    return &s->watch.cx->loop->places[s->watch.place - 1];
}

static void forget_place(struct ad_readiness_stream *s)
{
    if (s->watch.place != 0) {
        place_of(s)->iov_base = NULL;
        s->watch.place = 0;
    }
}

static bool take_place(struct ad_readiness_stream *s)
{
    struct ad_readiness *loop = s->watch.cx->loop;
    if (loop->places == NULL) {
        loop->places = loop->host->alloc(loop->host->ctx, NULL, PLACES * sizeof *loop->places, 0);
        if (loop->places == NULL) {
            return false;
        }
        memset(loop->places, 0, PLACES * sizeof *loop->places);
    }
    for (unsigned i = 0; i < PLACES && s->watch.place == 0; i++) {
        s->watch.place = loop->places[i].iov_base == NULL ? (i + 1) & PLACES : 0;
    }
    return s->watch.place != 0;
}

/* ---- results ---- */

/* The result of @op is known, and is put off. -> false: it was known before; the first stands */
static bool decide(struct ad_readiness_stream *s, int op)
{
    if (!(s->watch.inflight & op) || (s->watch.decided & op)) {
        return false;
    }
    if (op == AIODUCT_OP_RECV) {
        forget_place(s);
    }
    s->watch.decided |= op & 15;
    list(s);
    return true;
}

static bool send_is_over(const struct ad_readiness_stream *s)
{
    return s->watch.send == PIECES_OVER || s->watch.send == FILE_OVER;
}

static void send_over(struct ad_readiness_stream *s, unsigned kind, size_t sent, int code)
{
    s->watch.send = kind & 3;
    s->over.sent = sent;
    s->over.code = code;
}

/* What put off an operation: all are cancelled but a connect that was over at once, a send of
 * which a part went, and a piece of a file that is over. */
static int decided_code(const struct ad_readiness_stream *s, int op)
{
    return op == AIODUCT_OP_CONNECT && s->watch.at_once ? 0
           : op == AIODUCT_OP_SEND && send_is_over(s)   ? (int)s->over.code
                                                        : -ECANCELED;
}

/* Is @op in flight, and does its result still depend on the descriptor? */
static bool waits(const struct ad_readiness_stream *s, int op)
{
    return (s->watch.inflight & ~s->watch.decided & op) != 0;
}

static unsigned interest(const struct ad_readiness_stream *s)
{
    return (waits(s, AIODUCT_OP_RECV) ? AD_READ : 0) |
           (waits(s, AIODUCT_OP_SEND | AIODUCT_OP_CONNECT) || s->watch.file_short ? AD_WRITE : 0);
}

/* NULL: out of memory */
static struct ad_readiness_rest *new_rest(const struct ad_readiness_stream *s, uint32_t pieces)
{
    const struct aioduct_host *host = s->watch.cx->host;
    struct ad_readiness_rest *rest = NULL;
    return host->alloc(host->ctx, NULL, sizeof *rest + pieces * sizeof rest->pieces[0], 0);
}

static void free_rest(const struct ad_readiness_stream *s, struct ad_readiness_rest *rest)
{
    s->watch.cx->host->alloc(s->watch.cx->host->ctx, rest, 0, 0);
}

/* -> bytes that went */
static size_t end_send(struct ad_readiness_stream *s)
{
    size_t sent = send_is_over(s)                ? (size_t)s->over.sent
                  : s->watch.send == PIECES_WAIT ? s->rest->sent
                                                 : 0;
    if (!send_is_over(s)) {
        free_rest(s, s->rest);
    }
    s->watch.send = PIECES_WAIT;
    return sent;
}

static int end_our_side(struct ad_readiness_stream *s)
{
    return shutdown(s->watch.fd, SHUT_WR) < 0 ? -errno : 0;
}

static void complete(struct ad_readiness_stream *s, int op, int code)
{
    const struct aioduct_host *host = s->watch.cx->host;
    size_t bytes = 0;
    bool part = false;
    s->watch.inflight &= ~op & 15;
    s->watch.decided &= ~op & 15;
    if (op == AIODUCT_OP_CONNECT) {
        s->watch.phase = code == 0 ? PHASE_OPEN : PHASE_DEAD;
    }
    if (op == AIODUCT_OP_RECV) {
        forget_place(s);
    }
    if (op == AIODUCT_OP_SEND) {
        part = s->watch.send >= FILE_WAITS && s->watch.file_part;
        bytes = end_send(s);
    }
    host->on_done(host->ctx, s->stream, op, code, bytes);
    if (op == AIODUCT_OP_SEND && waits(s, AIODUCT_OP_SHUTDOWN)) {
        code = part && code == 0 ? -ECANCELED : code;
        s->watch.shut = code == 0; /* after a part the end would make it look like the whole */
        complete(s, AIODUCT_OP_SHUTDOWN, code == 0 ? end_our_side(s) : code);
    }
}

/* ---- the descriptor is ready ---- */

/* A socket has a peer while it is connected; what else became of it is its error. */
static void finish_connect(struct ad_readiness_stream *s, unsigned events)
{
    int error = 0;
    struct sockaddr_storage peer;
    socklen_t bytes = sizeof peer;
    bool is_sure = events == AD_WRITE && s->watch.cx->loop->ops->is_exact;
    if (!is_sure && getpeername(s->watch.fd, (struct sockaddr *)&peer, &bytes) < 0) {
        bytes = sizeof error;
        if (getsockopt(s->watch.fd, SOL_SOCKET, SO_ERROR, &error, &bytes) < 0) {
            error = errno;
        }
        if (error == 0) {
            return; /* libraries may report a descriptor for no reason */
        }
    }
    complete(s, AIODUCT_OP_CONNECT, -error);
}

/* What is in the old one has been delivered. */
static void grow_scratch(struct ad_readiness *loop)
{
    if (++loop->full_reads < FULL_READS || loop->scratch_bytes >= SCRATCH_BYTES_MAX) {
        return;
    }
    loop->full_reads = 0;
    void *larger =
        loop->host->alloc(loop->host->ctx, NULL, loop->scratch_bytes * 2, AD_SCRATCH_ALIGN);
    if (larger != NULL) {
        loop->host->alloc(loop->host->ctx, loop->scratch, 0, 0);
        loop->scratch = larger;
        loop->scratch_bytes *= 2;
    }
}

/* A short read is the last one: the socket is empty, and asking it again would cost a call. */
static void receive(struct ad_readiness_stream *s)
{
    struct ad_readiness *loop = s->watch.cx->loop;
    const struct aioduct_host *host = s->watch.cx->host;
    for (size_t total = 0; total < READ_BYTES_A_TURN && waits(s, AIODUCT_OP_RECV);) {
        bool is_placed = s->watch.place != 0;
        struct iovec to = {.iov_base = loop->scratch, .iov_len = loop->scratch_bytes};
        if (is_placed) {
            to = *place_of(s);
        }
        ssize_t got = recv(s->watch.fd, to.iov_base, to.iov_len, 0);
        if (got < 0) {
            if (errno != EAGAIN && errno != EINTR) {
                complete(s, AIODUCT_OP_RECV, -errno);
            }
            return;
        }
        if (got == 0) {
            complete(s, AIODUCT_OP_RECV, 0);
            return;
        }
        forget_place(s);
        host->on_data(host->ctx, s->stream, to.iov_base, (size_t)got);
        if ((size_t)got < to.iov_len) {
            loop->full_reads = is_placed ? loop->full_reads : 0;
            return;
        }
        if (!is_placed) {
            grow_scratch(loop);
        }
        total += (size_t)got;
    }
}

/* Write until the socket is full. Counts whole pieces in *@done, in *@offset the bytes that went of
 * the next, and adds all of them to *@sent. -> 0 all | -EAGAIN the rest has to wait | why no more
 * can be written */
static int write_pieces(const struct ad_readiness_stream *s, const struct iovec *pieces,
                        uint32_t count, uint32_t *done, size_t *offset, size_t *sent)
{
    *done = 0;
    *offset = 0;
    while (*done < count) {
        const struct iovec *first = pieces + *done;
        uint32_t batch = count - *done < IOV_MAX ? count - *done : IOV_MAX;
        struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)first, .msg_iovlen = batch};
        ssize_t took = batch == 1 ? send(s->watch.fd, first->iov_base, first->iov_len, MSG_NOSIGNAL)
                                  : sendmsg(s->watch.fd, &message, MSG_NOSIGNAL);
        if (took < 0 && errno == EINTR) {
            continue;
        }
        if (took < 0) {
            return -errno;
        }
        *sent += (size_t)took;
        size_t left = (size_t)took;
        uint32_t whole = 0;
        while (whole < batch && left >= first[whole].iov_len) {
            left -= first[whole++].iov_len;
        }
        *done += whole;
        if (whole < batch) {
            *offset = left;
            return -EAGAIN;
        }
    }
    return 0;
}

static void resume_send(struct ad_readiness_stream *s)
{
    struct ad_readiness_rest *rest = s->rest;
    uint32_t done;
    size_t offset;
    int code = write_pieces(s, rest->pieces + rest->first, rest->count - rest->first, &done,
                            &offset, &rest->sent);
    if (code != -EAGAIN) {
        complete(s, AIODUCT_OP_SEND, code);
        return;
    }
    rest->first += done;
    struct iovec *next = &rest->pieces[rest->first];
    next->iov_base = (char *)next->iov_base + offset;
    next->iov_len -= offset;
}

/* -> false: there is no room for any of it */
static bool send_piece(struct ad_readiness_stream *s, int fd, int64_t offset, size_t all)
{
    size_t bytes = all < FILE_BYTES_A_TURN ? all : FILE_BYTES_A_TURN;
    int64_t went = ad_socket_sendfile(s->watch.fd, fd, offset, bytes);
    if (went == -EAGAIN) {
        return false;
    }
    size_t sent = went > 0 ? (size_t)went : 0;
    s->watch.file_short = sent > 0 && sent < bytes;
    s->watch.file_part = sent < all;
    send_over(s, FILE_OVER, sent, went < 0 ? (int)went : 0);
    return true;
}

/* There is room, or something is wrong. A next piece is asked for soon: until it is known whether
 * that has to wait, the descriptor stays watched. */
static void resume_file(struct ad_readiness_stream *s)
{
    struct ad_readiness_rest *rest = s->rest;
    if (send_piece(s, rest->file_fd, rest->file_offset, rest->file_bytes)) {
        free_rest(s, rest);
        complete(s, AIODUCT_OP_SEND, (int)s->over.code);
    }
}

/* Reading comes first: what a peer said before it reset the connection is worth more than why we
 * cannot write. Interest is only ever dropped here, so a receive that is stopped and started again
 * meanwhile costs no system call. */
void ad_readiness_stream_ready(struct ad_watch *watch, unsigned events)
{
    struct ad_readiness_stream *s = stream_of(watch);
    if (s->watch.send == FILE_OVER) { /* what the peer says now may be an answer to it */
        complete(s, AIODUCT_OP_SEND, (int)s->over.code);
    }
    if ((events & AD_WRITE) && waits(s, AIODUCT_OP_CONNECT)) {
        finish_connect(s, events);
    } else {
        if ((events & AD_READ) && waits(s, AIODUCT_OP_RECV)) {
            receive(s);
        }
        if ((events & AD_WRITE) && waits(s, AIODUCT_OP_SEND)) {
            (s->watch.send == FILE_WAITS ? resume_file : resume_send)(s);
        } else if (events & AD_WRITE) {
            s->watch.file_short = false;
        }
    }
    (void)ad_readiness_watch(watch, watch->events & interest(s));
}

/* ---- what was put off ---- */

static void deliver_one(struct ad_readiness_stream *s)
{
    const struct aioduct_host *host = s->watch.cx->host;
    for (int op = AIODUCT_OP_CONNECT; op <= AIODUCT_OP_SHUTDOWN; op <<= 1) {
        if (s->watch.decided & op) {
            complete(s, op, decided_code(s, op));
        }
    }
    if (s->watch.closing && !s->watch.listed) {
        ad_readiness_watch_end(&s->watch);
        forget_open(s);
        host->on_closed(host->ctx, s->stream);
    }
}

void ad_readiness_deliver(struct ad_readiness *loop)
{
    unsigned count = 0;
    for (const struct ad_readiness_stream *s = loop->due; s != NULL; s = s->next) {
        count++;
    }
    for (; count > 0 && loop->due != NULL; count--) { /* it is empty once the loop was abandoned */
        deliver_one(take_due(loop));                  /* may be gone from here on */
    }
}

/* ---- the connector's table ---- */

int ad_readiness_cx_open(void *opaque, const struct aioduct_host *host, void *rt)
{
    struct ad_readiness_cx *cx = opaque;
    cx->loop = rt;
    cx->host = host;
    return 0;
}

void ad_readiness_cx_close(void *opaque)
{
    (void)opaque; /* it owns nothing */
}

int ad_readiness_connect(void *opaque, struct aioduct_stream *stream, void *state,
                         const struct aioduct_socket_config *config)
{
    struct ad_readiness_cx *cx = opaque;
    struct ad_readiness_stream *s = state;
    struct ad_socket_addr to;
    if (s->watch.phase != PHASE_NEW) {
        return s->watch.inflight & AIODUCT_OP_CONNECT ? -EBUSY : -EISCONN;
    }
    int fd = ad_socket_create(cx->host, config, SOCK_NONBLOCK, &to);
    if (fd < 0) {
        return fd;
    }
    bool at_once = connect(fd, (struct sockaddr *)&to.storage, to.bytes) == 0;
    int code = at_once || errno == EINPROGRESS || errno == EINTR ? 0 : -errno;
    if (code == -EAGAIN) { /* of a unix-domain socket, whose room nothing would tell us of */
        cx->host->error(cx->host->ctx, -ECONNREFUSED, "the listener's queue is full");
        code = -ECONNREFUSED;
    }
    s->watch = (struct ad_watch){.cx = cx, .fd = fd};
    if (code == 0 && !at_once) {
        code = ad_readiness_watch(&s->watch, AD_WRITE);
    }
    if (code < 0) {
        ad_readiness_watch_end(&s->watch);
        s->watch = (struct ad_watch){0};
        return code;
    }
    note_open(s);
    s->stream = stream;
    s->watch.phase = PHASE_CONNECTING;
    s->watch.inflight = AIODUCT_OP_CONNECT;
    if (at_once) {
        s->watch.at_once = decide(s, AIODUCT_OP_CONNECT);
    }
    return AIODUCT_PENDING;
}

int ad_readiness_recv_start(void *state)
{
    struct ad_readiness_stream *s = state;
    if (s->watch.phase != PHASE_OPEN) {
        return -ENOTCONN;
    }
    if (s->watch.inflight & AIODUCT_OP_RECV) {
        return -EBUSY;
    }
    int code = ad_readiness_watch(&s->watch, interest(s) | AD_READ);
    if (code == 0) {
        s->watch.inflight |= AIODUCT_OP_RECV;
    }
    return code;
}

void ad_readiness_recv_stop(void *state)
{
    (void)decide(state, AIODUCT_OP_RECV);
}

void ad_readiness_recv_at(void *state, void *memory, size_t bytes)
{
    struct ad_readiness_stream *s = state;
    forget_place(s);
    if (memory != NULL && waits(s, AIODUCT_OP_RECV) && take_place(s)) {
        *place_of(s) = (struct iovec){
            .iov_base = memory,
            .iov_len = bytes < READ_BYTES_A_TURN ? bytes : READ_BYTES_A_TURN,
        };
    }
}

/* Keep what was not written, which the first @offset bytes were, until the socket has room. -> 0 |
 * -ENOMEM or -errno */
static int wait_for_room(struct ad_readiness_stream *s, const struct iovec *pieces, uint32_t count,
                         size_t offset, size_t sent)
{
    struct ad_readiness_rest *rest = new_rest(s, count);
    if (rest == NULL) {
        return -ENOMEM;
    }
    *rest = (struct ad_readiness_rest){.sent = sent, .count = count};
    memcpy(rest->pieces, pieces, count * sizeof *pieces);
    rest->pieces[0].iov_base = (char *)rest->pieces[0].iov_base + offset;
    rest->pieces[0].iov_len -= offset;
    int code = ad_readiness_watch(&s->watch, interest(s) | AD_WRITE);
    if (code < 0) {
        free_rest(s, rest);
        return code;
    }
    s->rest = rest;
    return 0;
}

static bool no_bytes(const struct iovec *pieces, unsigned count)
{
    while (count > 0 && pieces[count - 1].iov_len == 0) {
        count--;
    }
    return count == 0;
}

int ad_readiness_send(void *state, const struct iovec *pieces, unsigned count)
{
    struct ad_readiness_stream *s = state;
    uint32_t done;
    size_t offset;
    if (s->watch.phase != PHASE_OPEN) {
        return -ENOTCONN;
    }
    if (s->watch.shut) {
        return -EPIPE;
    }
    if (s->watch.inflight & AIODUCT_OP_SEND) {
        return -EBUSY;
    }
    if (no_bytes(pieces, count)) {
        return AIODUCT_DONE;
    }
    size_t sent = 0;
    int code = write_pieces(s, pieces, count, &done, &offset, &sent);
    if (code == 0) {
        return AIODUCT_DONE;
    }
    if (code == -EAGAIN) {
        code = wait_for_room(s, pieces + done, count - done, offset, sent);
    }
    if (code < 0 && sent == 0) {
        return code;
    }
    s->watch.inflight |= AIODUCT_OP_SEND;
    if (code < 0) { /* a part went: the core has to learn how much */
        send_over(s, PIECES_OVER, sent, code);
        (void)decide(s, AIODUCT_OP_SEND);
    }
    return AIODUCT_PENDING;
}

/* Never done inside the call, so that a file takes no more than its share of a turn. */
int ad_readiness_send_file(void *state, int fd, int64_t offset, size_t bytes)
{
    struct ad_readiness_stream *s = state;
    if (s->watch.phase != PHASE_OPEN) {
        return -ENOTCONN;
    }
    if (s->watch.shut) {
        return -EPIPE;
    }
    if (s->watch.inflight & AIODUCT_OP_SEND) {
        return -EBUSY;
    }
    bytes = bytes < UINT32_MAX ? bytes : UINT32_MAX;
    if (!s->watch.file_short && send_piece(s, fd, offset, bytes)) {
        int code = (int)s->over.code;
        if (code < 0) {
            (void)end_send(s);
            return code;
        }
        s->watch.inflight |= AIODUCT_OP_SEND;
        (void)decide(s, AIODUCT_OP_SEND);
        return AIODUCT_PENDING;
    }
    struct ad_readiness_rest *rest = new_rest(s, 0);
    if (rest == NULL) {
        return -ENOMEM;
    }
    int code = ad_readiness_watch(&s->watch, interest(s) | AD_WRITE);
    if (code < 0) {
        free_rest(s, rest);
        return code;
    }
    rest->file_fd = fd;
    rest->file_offset = offset;
    rest->file_bytes = (uint32_t)bytes;
    s->rest = rest;
    s->watch.send = FILE_WAITS;
    s->watch.file_part = bytes > 0;
    s->watch.inflight |= AIODUCT_OP_SEND;
    return AIODUCT_PENDING;
}

int ad_readiness_shutdown(void *state)
{
    struct ad_readiness_stream *s = state;
    if (s->watch.phase != PHASE_OPEN) {
        return -ENOTCONN;
    }
    if (s->watch.inflight & AIODUCT_OP_SHUTDOWN) {
        return -EBUSY;
    }
    s->watch.shut = true;
    if (s->watch.inflight & AIODUCT_OP_SEND) {
        s->watch.inflight |= AIODUCT_OP_SHUTDOWN;
        return AIODUCT_PENDING; /* the end comes after the bytes */
    }
    return end_our_side(s);
}

void ad_readiness_cancel(void *state, unsigned ops)
{
    struct ad_readiness_stream *s = state;
    for (int op = AIODUCT_OP_CONNECT; op <= AIODUCT_OP_SHUTDOWN; op <<= 1) {
        if (ops & (unsigned)op) {
            if (op == AIODUCT_OP_SHUTDOWN && waits(s, op)) {
                s->watch.shut = false;
            }
            (void)decide(s, op);
        }
    }
}

void ad_readiness_stream_close(void *state)
{
    struct ad_readiness_stream *s = state;
    s->watch.closing = true;
    ad_readiness_cancel(s, s->watch.inflight);
    list(s);
}

int ad_readiness_stream_info(void *state, struct aioduct_stream_info *info)
{
    struct ad_readiness_stream *s = state;
    return ad_socket_info(s->watch.phase == PHASE_NEW ? -1 : s->watch.fd, info);
}
