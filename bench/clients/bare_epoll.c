/* SPDX-License-Identifier: MIT */
/*
 * bare-epoll [-n REQUESTS] [-c AT_ONCE] PORT
 * A connection for each request, and nothing but the system calls that takes: socket, connect,
 * wait, send, wait, recv until the answer is whole, close. The floor under clients of HTTP/1.1.
 * Prints one line of JSON.
 */
#include "bare.h"

#include <sys/epoll.h>

struct lane {
    int fd;
    bool asked;
    struct bare_answer answer;
};

static int epoll_fd, port;

static void start(struct lane *lane)
{
    lane->asked = false;
    lane->answer.count = 0;
    lane->fd = bare_connect(port);
    struct epoll_event event = {EPOLLOUT, {.ptr = lane}};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, lane->fd, &event) < 0) {
        bare_die("epoll_ctl");
    }
}

static void ask(struct lane *lane)
{
    const size_t count = sizeof bare_request - 1;
    bare_check_connected(lane->fd);
    if (send(lane->fd, bare_request, count, MSG_NOSIGNAL) != (ssize_t)count) {
        bare_die("send");
    }
    lane->asked = true;
    struct epoll_event event = {EPOLLIN, {.ptr = lane}};
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, lane->fd, &event);
}

/* true: the answer is whole, and the connection closed. */
static bool hear(struct lane *lane)
{
    struct bare_answer *answer = &lane->answer;
    ssize_t got =
        recv(lane->fd, answer->bytes + answer->count, sizeof answer->bytes - answer->count, 0);
    if (got <= 0) {
        bare_die("recv");
    }
    answer->count += (size_t)got;
    if (!bare_answer_whole(answer)) {
        return false;
    }
    close(lane->fd);
    return true;
}

static void run(struct lane *lanes, int at_once, long requests)
{
    struct epoll_event events[256];
    long left = requests;
    for (int i = 0; i < at_once && left > 0; i++, left--) {
        start(&lanes[i]);
    }
    for (long done = 0; done < requests;) {
        int count = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < count; i++) {
            struct lane *lane = events[i].data.ptr;
            if (!lane->asked) {
                ask(lane);
            } else if (hear(lane)) {
                done++;
                if (left > 0) {
                    left--;
                    start(lane);
                }
            }
        }
    }
}

int main(int argc, char **argv)
{
    long requests = 1000;
    int at_once = 1, option;
    while ((option = getopt(argc, argv, "n:c:")) != -1) {
        if (option == 'n') {
            requests = strtol(optarg, NULL, 10);
        } else if (option == 'c') {
            at_once = (int)strtol(optarg, NULL, 10);
        } else {
            optind = argc;
        }
    }
    if (optind != argc - 1 || at_once < 1) {
        fprintf(stderr, "bare-epoll [-n REQUESTS] [-c AT_ONCE] PORT\n");
        return 2;
    }
    port = (int)strtol(argv[optind], NULL, 10);
    struct lane *lanes = calloc((size_t)at_once, sizeof *lanes);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (lanes == NULL || epoll_fd < 0) {
        bare_die("start");
    }
    double used = bare_cpu();
    run(lanes, at_once, requests);
    printf("{\"requests\":%ld,\"cpu\":%.6f}\n", requests, bare_cpu() - used);
    free(lanes);
    return 0;
}
