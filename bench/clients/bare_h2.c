/* SPDX-License-Identifier: MIT */
/*
 * bare-h2 [-n REQUESTS] [-m STREAMS] PORT
 * HTTP/2 on one connection of clear text, and nothing but the system calls that takes: wait, recv,
 * send once for all that came. Requests are the same bytes each time but for the stream's number;
 * of answers the frame headers are read, a head is known by its first byte (:status 200), and
 * there is no HPACK. The floor under clients of HTTP/2. A first request of each stream is not
 * counted. Prints one line of JSON.
 */
#include "bare.h"

#include <stdint.h>
#include <sys/epoll.h>

#define WINDOW 0x3fffffff      /* of a stream, and what the connection begins with */
#define CREDIT_BYTES (1 << 20) /* given back when so much came */
#define STREAMS_MAX 1000
#define FRAME_BYTES 9

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7 };
enum { END_STREAM = 1, ACK = 1 };

static const uint8_t opening[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
                                 "\0\0\6\4\0\0\0\0\0\0\4\x3f\xff\xff\xff"
                                 "\0\0\4\x8\0\0\0\0\0\x3f\xff\0\0";

/* GET, http, /, 127.0.0.1, user-agent: bare; the last two as literals without indexing. */
static const uint8_t head[] = "\0\0\x15\1\5\0\0\0\0\x82\x86\x84\x01\x09"
                              "127.0.0.1\x0f\x2b\x04"
                              "bare";

struct connection {
    int fd;
    uint32_t next_stream;
    uint8_t frame[FRAME_BYTES]; /* of the one that is coming */
    size_t frame_bytes, skip;   /* of it that have come; of its payload that have not */
    bool first_of_head;         /* the next byte says the status */
    size_t uncredited, out_bytes;
    uint8_t out[64 * STREAMS_MAX + 64];
    long left, done;
};

static void put(struct connection *c, const void *bytes, size_t count)
{
    memcpy(c->out + c->out_bytes, bytes, count);
    c->out_bytes += count;
}

static void put32(uint8_t *p, uint32_t value)
{
    value = htonl(value);
    memcpy(p, &value, 4);
}

static void ask(struct connection *c)
{
    uint8_t *at = c->out + c->out_bytes;
    put(c, head, sizeof head - 1);
    put32(at + 5, c->next_stream);
    c->next_stream += 2;
    c->left--;
}

static void wrong_answer(void)
{
    errno = EPROTO;
    bare_die("answer");
}

/* Its header is whole. */
static void begin_frame(struct connection *c)
{
    const uint8_t *f = c->frame;
    unsigned type = f[3], flags = f[4];
    c->skip = (size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2];
    c->first_of_head = type == HEADERS && c->skip > 0;
    if (type == RST_STREAM || type == GOAWAY || type == PING) {
        wrong_answer();
    }
    if (type == SETTINGS && !(flags & ACK)) {
        put(c, "\0\0\0\4\1\0\0\0\0", FRAME_BYTES);
    }
    if ((type == DATA || type == HEADERS) && (flags & END_STREAM)) {
        c->done++;
        if (c->left > 0) {
            ask(c);
        }
    }
}

static void take(struct connection *c, const uint8_t *at, size_t count)
{
    while (count > 0) {
        size_t wanted = c->skip > 0 ? c->skip : FRAME_BYTES - c->frame_bytes;
        size_t step = wanted < count ? wanted : count;
        if (c->skip > 0) {
            if (c->first_of_head && at[0] != 0x88) {
                wrong_answer();
            }
            c->first_of_head = false;
            c->skip -= step;
        } else {
            memcpy(c->frame + c->frame_bytes, at, step);
            c->frame_bytes += step;
            if (c->frame_bytes == FRAME_BYTES) {
                c->frame_bytes = 0;
                begin_frame(c);
            }
        }
        at += step;
        count -= step;
    }
}

static void flush(struct connection *c)
{
    if (c->uncredited > CREDIT_BYTES) {
        uint8_t update[FRAME_BYTES + 4] = {0, 0, 4, 8};
        put32(update + FRAME_BYTES, (uint32_t)c->uncredited);
        put(c, update, sizeof update);
        c->uncredited = 0;
    }
    if (c->out_bytes > 0 &&
        send(c->fd, c->out, c->out_bytes, MSG_NOSIGNAL) != (ssize_t)c->out_bytes) {
        bare_die("send");
    }
    c->out_bytes = 0;
}

/* Until so many are answered in all. */
static void run(struct connection *c, int epoll_fd, long until)
{
    static uint8_t bytes[1 << 17];
    while (c->done < until) {
        struct epoll_event event;
        epoll_wait(epoll_fd, &event, 1, -1);
        ssize_t got = recv(c->fd, bytes, sizeof bytes, 0);
        if (got <= 0) {
            bare_die("recv");
        }
        c->uncredited += (size_t)got;
        take(c, bytes, (size_t)got);
        flush(c);
    }
}

static void open_connection(struct connection *c, int port, int epoll_fd, long streams)
{
    struct epoll_event event = {EPOLLOUT, {0}};
    c->fd = bare_connect(port);
    c->next_stream = 1;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event);
    epoll_wait(epoll_fd, &event, 1, -1);
    bare_check_connected(c->fd);
    event.events = EPOLLIN;
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event);
    put(c, opening, sizeof opening - 1);
    for (long i = 0; i < streams; i++) {
        ask(c);
    }
    flush(c);
}

int main(int argc, char **argv)
{
    static struct connection c;
    long requests = 1000, streams = 1;
    int option;
    while ((option = getopt(argc, argv, "n:m:")) != -1) {
        if (option == 'n') {
            requests = strtol(optarg, NULL, 10);
        } else if (option == 'm') {
            streams = strtol(optarg, NULL, 10);
        } else {
            optind = argc;
        }
    }
    if (optind != argc - 1 || streams < 1 || streams > STREAMS_MAX || requests < 1 ||
        requests > INT32_MAX / 2 - streams) {
        fprintf(stderr, "bare-h2 [-n REQUESTS] [-m STREAMS] PORT\n");
        return 2;
    }
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) {
        bare_die("epoll_create1");
    }
    c.left = streams + requests;
    open_connection(&c, (int)strtol(argv[optind], NULL, 10), epoll_fd, streams);
    run(&c, epoll_fd, streams);
    double used = bare_cpu();
    long before = c.done;
    run(&c, epoll_fd, streams + requests);
    printf("{\"requests\":%ld,\"cpu\":%.6f}\n", c.done - before, bare_cpu() - used);
    return 0;
}
