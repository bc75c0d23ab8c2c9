/* SPDX-License-Identifier: MIT */
/* A piece of a file into a socket, by sendfile(2). */
#include "socket/socket.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/sendfile.h>
#include <time.h>

/* sendfile(2) has no MSG_NOSIGNAL: SIGPIPE is kept away from this thread meanwhile, and what came
 * of it is taken. One that waits already is somebody else's, and ours would be the same. */
struct quiet {
    sigset_t pipe, before;
    bool waited;
};

static void be_quiet(struct quiet *q)
{
    sigset_t waiting;
    sigemptyset(&q->pipe);
    sigaddset(&q->pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &q->pipe, &q->before);
    q->waited = sigismember(&q->before, SIGPIPE) == 1 && sigpending(&waiting) == 0 &&
                sigismember(&waiting, SIGPIPE) == 1;
}

static void be_loud(const struct quiet *q, bool is_raised)
{
    const struct timespec now = {0};
    if (is_raised && !q->waited) {
        while (sigtimedwait(&q->pipe, NULL, &now) < 0 && errno == EINTR) {
        }
    }
    pthread_sigmask(SIG_SETMASK, &q->before, NULL);
}

/* sendfile(2) says with one number what is wrong with either of two descriptors. What a socket
 * cannot have said is the file's, and who reads that is told again. */
static bool is_of_the_connection(int error)
{
    switch (error) {
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ECONNREFUSED:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case EHOSTDOWN:
    case ENETUNREACH:
    case ENETDOWN:
    case ENETRESET:
    case ENOTCONN:
    case EPROTO:
    case ENOPROTOOPT:
        return true;
    default:
        return false;
    }
}

int64_t ad_socket_sendfile(int socket, int fd, int64_t offset, size_t bytes)
{
    struct quiet quiet;
    off_t at = (off_t)offset;
    ssize_t went;
    be_quiet(&quiet);
    do {
        went = sendfile(socket, fd, &at, bytes);
    } while (went < 0 && errno == EINTR);
    int error = errno;
    /* A connection that breaks behind a part raises it, too, and only the part is told. */
    be_loud(&quiet, went < 0 ? error == EPIPE : (size_t)went < bytes);
    if (went >= 0 || error == EAGAIN) {
        return went >= 0 ? went : -EAGAIN;
    }
    return is_of_the_connection(error) ? -error : AIODUCT_E_UNSUPPORTED;
}
