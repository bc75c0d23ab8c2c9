/* SPDX-License-Identifier: MIT */
/*
 * curl-load [-n REQUESTS] [-c AT_ONCE] [-1 | -2 | -H] [-f] [-p] [-u BYTES] [-U FILE] [-b BYTES]
 *           [-l LIBRARY] [-k CAFILE] URL
 * The closed loop of aioduct-load over libcurl's multi interface, written as well as libcurl
 * allows: handles are used again, no signals, the timer is armed lazily, HTTP/2 waits for its
 * connection. With more than one request, and -f not given, AT_ONCE more are made that are not
 * counted.
 *   -p  curl_multi_poll and perform, instead of socket_action over epoll
 *   -u  PUT so many bytes, made piece by piece
 *   -U  read from this file
 *   -b  buffers of this size, instead of libcurl's default
 *   -l  libcurl.so.4 (OpenSSL) or libcurl-gnutls.so.4
 * Prints one line of JSON.
 */
#include <curl/curl.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* The library is chosen when the program runs, so its functions are looked up. */
static struct {
    CURLcode (*global_init)(long);
    CURL *(*easy_init)(void);
    CURLcode (*easy_setopt)(CURL *, CURLoption, ...);
    CURLcode (*easy_getinfo)(CURL *, CURLINFO, ...);
    struct curl_slist *(*slist_append)(struct curl_slist *, const char *);
    CURLM *(*multi_init)(void);
    CURLMcode (*multi_setopt)(CURLM *, CURLMoption, ...);
    CURLMcode (*multi_add_handle)(CURLM *, CURL *);
    CURLMcode (*multi_remove_handle)(CURLM *, CURL *);
    CURLMcode (*multi_perform)(CURLM *, int *);
    CURLMcode (*multi_poll)(CURLM *, struct curl_waitfd *, unsigned, int, int *);
    CURLMcode (*multi_socket_action)(CURLM *, curl_socket_t, int, int *);
    CURLMcode (*multi_assign)(CURLM *, curl_socket_t, void *);
    CURLMsg *(*multi_info_read)(CURLM *, int *);
    const char *(*easy_strerror)(CURLcode);
    char *(*version)(void);
} api;

static struct {
    long requests, left, done, failed;
    int at_once, version;
    bool fresh, poll;
    long buffer_bytes;
    unsigned long long upload_bytes, upload_left;
    long warm_up;      /* requests that are not counted */
    double cpu_before; /* when they were done */
    const char *library, *ca_file, *url, *file;
    int file_fd;
    CURLM *multi;
    int epoll_fd;
    long timeout_ms; /* -1: none */
    struct timespec deadline;
    unsigned long long body_bytes;
} s = {.requests = 1000,
       .at_once = 1,
       .version = CURL_HTTP_VERSION_1_1,
       .timeout_ms = -1,
       .library = "libcurl.so.4"};

static void look_up(void)
{
    static const struct {
        const char *name;
        void *slot;
    } names[] = {
        {"curl_global_init", &api.global_init},
        {"curl_easy_init", &api.easy_init},
        {"curl_easy_setopt", &api.easy_setopt},
        {"curl_easy_getinfo", &api.easy_getinfo},
        {"curl_slist_append", &api.slist_append},
        {"curl_multi_init", &api.multi_init},
        {"curl_multi_setopt", &api.multi_setopt},
        {"curl_multi_add_handle", &api.multi_add_handle},
        {"curl_multi_remove_handle", &api.multi_remove_handle},
        {"curl_multi_perform", &api.multi_perform},
        {"curl_multi_poll", &api.multi_poll},
        {"curl_multi_socket_action", &api.multi_socket_action},
        {"curl_multi_assign", &api.multi_assign},
        {"curl_multi_info_read", &api.multi_info_read},
        {"curl_easy_strerror", &api.easy_strerror},
        {"curl_version", &api.version},
    };
    void *library = dlopen(s.library, RTLD_NOW);
    if (library == NULL) {
        fprintf(stderr, "curl-load: %s\n", dlerror());
        exit(1);
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        void *found = dlsym(library, names[i].name);
        if (found == NULL) {
            fprintf(stderr, "curl-load: %s\n", dlerror());
            exit(1);
        }
        memcpy(names[i].slot, &found, sizeof found);
    }
}

/* ---- callbacks of libcurl ---- */

static size_t on_write(char *bytes, size_t size, size_t count, void *user)
{
    (void)bytes;
    (void)user;
    s.body_bytes += size * count;
    return size * count;
}

static size_t on_read(char *bytes, size_t size, size_t count, void *user)
{
    (void)user;
    size_t room = size * count;
    room = s.upload_left < room ? (size_t)s.upload_left : room;
    if (s.file == NULL) {
        memset(bytes, 'x', room);
    } else if (pread(s.file_fd, bytes, room, (off_t)(s.upload_bytes - s.upload_left)) !=
               (ssize_t)room) {
        return CURL_READFUNC_ABORT;
    }
    s.upload_left -= room;
    s.body_bytes += room;
    return room;
}

static int on_timer(CURLM *multi, long timeout_ms, void *user)
{
    (void)multi;
    (void)user;
    s.timeout_ms = timeout_ms;
    if (timeout_ms > 0) {
        clock_gettime(CLOCK_MONOTONIC, &s.deadline);
        s.deadline.tv_sec += timeout_ms / 1000;
        s.deadline.tv_nsec += timeout_ms % 1000 * 1000000;
        if (s.deadline.tv_nsec >= 1000000000) {
            s.deadline.tv_nsec -= 1000000000;
            s.deadline.tv_sec++;
        }
    }
    return 0;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *known)
{
    (void)easy;
    (void)user;
    struct epoll_event event = {.data.fd = fd};
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(s.epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    event.events =
        ((what & CURL_POLL_IN) ? EPOLLIN : 0u) | ((what & CURL_POLL_OUT) ? EPOLLOUT : 0u);
    epoll_ctl(s.epoll_fd, known == NULL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
    api.multi_assign(s.multi, fd, &s);
    return 0;
}

/* ---- the loop ---- */

static double cpu(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void prepare(CURL *easy)
{
    api.easy_setopt(easy, CURLOPT_URL, s.url);
    api.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    api.easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_write);
    api.easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)s.version);
    api.easy_setopt(easy, CURLOPT_PIPEWAIT, s.version != CURL_HTTP_VERSION_1_1 ? 1L : 0L);
    api.easy_setopt(easy, CURLOPT_FORBID_REUSE, s.fresh ? 1L : 0L);
    if (s.buffer_bytes > 0) {
        api.easy_setopt(easy, CURLOPT_BUFFERSIZE, s.buffer_bytes);
        api.easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, s.buffer_bytes);
    }
    if (s.upload_bytes > 0) {
        api.easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        api.easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
        api.easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)s.upload_bytes);
        struct curl_slist *none = api.slist_append(NULL, "Expect:"); /* do not ask first */
        api.easy_setopt(easy, CURLOPT_HTTPHEADER, none);
    }
    if (s.ca_file != NULL) {
        api.easy_setopt(easy, CURLOPT_CAINFO, s.ca_file);
        api.easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
}

static void add_lanes(int count)
{
    for (int i = 0; i < count && s.left > 0; i++, s.left--) {
        CURL *easy = api.easy_init();
        prepare(easy);
        api.multi_add_handle(s.multi, easy);
    }
}

/* With prior knowledge libcurl 7.88 switches a connection that it uses again to HTTP/2 once more,
 * and fails (curl pull request 10643). So one request opens the connection with prior knowledge,
 * and all others take it as it is. */
static void opened(CURL *easy)
{
    if (s.version == CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE) {
        s.version = CURL_HTTP_VERSION_2_0;
        api.easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)s.version);
        add_lanes(s.at_once - 1);
    }
}

static void finished(void)
{
    CURLMsg *message;
    int rest;
    while ((message = api.multi_info_read(s.multi, &rest)) != NULL) {
        CURL *easy = message->easy_handle;
        long status = 0;
        api.easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
        if (++s.done == s.warm_up) {
            s.cpu_before = cpu();
            s.body_bytes = 0;
        }
        bool failed = message->data.result != CURLE_OK || status != 200;
        if (failed && s.failed++ == 0) {
            fprintf(stderr, "curl-load: %s, status %ld\n", api.easy_strerror(message->data.result),
                    status);
        }
        api.multi_remove_handle(s.multi, easy);
        opened(easy);
        if (s.left > 0) {
            s.left--;
            s.upload_left = s.upload_bytes;
            api.multi_add_handle(s.multi, easy);
        }
    }
}

/* Milliseconds until libcurl's timer; -1: none. */
static int wait_ms(void)
{
    if (s.timeout_ms <= 0) {
        return (int)s.timeout_ms;
    }
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long left =
        (s.deadline.tv_sec - now.tv_sec) * 1000 + (s.deadline.tv_nsec - now.tv_nsec) / 1000000;
    return left < 0 ? 0 : (int)left + 1;
}

static void run_sockets(void)
{
    struct epoll_event events[256];
    int running;
    while (s.done < s.requests) {
        int count = epoll_wait(s.epoll_fd, events, 256, wait_ms());
        for (int i = 0; i < count; i++) {
            int what = ((events[i].events & EPOLLIN) ? CURL_CSELECT_IN : 0) |
                       ((events[i].events & EPOLLOUT) ? CURL_CSELECT_OUT : 0) |
                       ((events[i].events & (EPOLLERR | EPOLLHUP)) ? CURL_CSELECT_ERR : 0);
            api.multi_socket_action(s.multi, events[i].data.fd, what, &running);
        }
        if (wait_ms() == 0) {
            s.timeout_ms = -1;
            api.multi_socket_action(s.multi, CURL_SOCKET_TIMEOUT, 0, &running);
        }
        finished();
    }
}

static void run_poll(void)
{
    int running;
    while (s.done < s.requests) {
        api.multi_perform(s.multi, &running);
        finished();
        if (s.done < s.requests) {
            api.multi_poll(s.multi, NULL, 0, 1000, NULL);
        }
    }
}

static void set_up(void)
{
    look_up();
    api.global_init(CURL_GLOBAL_DEFAULT);
    s.multi = api.multi_init();
    s.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    api.multi_setopt(s.multi, CURLMOPT_MAXCONNECTS, (long)s.at_once + 1);
    if (s.version != CURL_HTTP_VERSION_1_1) {
        api.multi_setopt(s.multi, CURLMOPT_MAX_CONCURRENT_STREAMS, (long)s.at_once);
        api.multi_setopt(s.multi, CURLMOPT_MAX_HOST_CONNECTIONS, 1L);
    }
    if (!s.poll) {
        api.multi_setopt(s.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
        api.multi_setopt(s.multi, CURLMOPT_TIMERFUNCTION, on_timer);
    }
    s.left = s.requests;
    s.upload_left = s.upload_bytes;
    add_lanes(s.version == CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE ? 1 : s.at_once);
}

int main(int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "n:c:k:l:u:U:b:12Hfp")) != -1) {
        switch (option) {
        case 'n':
            s.requests = strtol(optarg, NULL, 10);
            break;
        case 'c':
            s.at_once = (int)strtol(optarg, NULL, 10);
            break;
        case 'k':
            s.ca_file = optarg;
            break;
        case 'l':
            s.library = optarg;
            break;
        case 'u':
            s.upload_bytes = strtoull(optarg, NULL, 10);
            break;
        case 'U':
            s.file = optarg;
            s.file_fd = open(optarg, O_RDONLY | O_CLOEXEC);
            break;
        case 'b':
            s.buffer_bytes = strtol(optarg, NULL, 10);
            break;
        case '1':
            s.version = CURL_HTTP_VERSION_1_1;
            break;
        case '2':
            s.version = CURL_HTTP_VERSION_2TLS;
            break;
        case 'H':
            s.version = CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
            break;
        case 'f':
            s.fresh = true;
            break;
        case 'p':
            s.poll = true;
            break;
        default:
            optind = argc;
            break;
        }
    }
    if (optind != argc - 1 || (s.upload_bytes > 0 && s.at_once > 1)) {
        fprintf(stderr, "curl-load [-n REQUESTS] [-c AT_ONCE] [-1 | -2 | -H] [-f] [-p] [-u BYTES] "
                        "[-U FILE] [-b BYTES] [-l LIBRARY] [-k CAFILE] URL\n");
        return 2;
    }
    s.url = argv[optind];
    if (!s.fresh && s.requests > 1) {
        s.warm_up = s.at_once;
        s.requests += s.warm_up;
    }
    set_up();
    s.cpu_before = cpu();
    if (s.poll) {
        run_poll();
    } else {
        run_sockets();
    }
    double used = cpu() - s.cpu_before;
    printf(
        "{\"runtime\":\"%s\",\"requests\":%ld,\"failed\":%ld,\"cpu\":%.6f,\"body_bytes\":%llu}\n",
        api.version(), s.requests - s.warm_up, s.failed, used, s.body_bytes);
    return s.failed == 0 ? 0 : 1;
}
