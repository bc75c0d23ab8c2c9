/* SPDX-License-Identifier: MIT */
#include "nginx.h"

#include "files.h"
#include "port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define URL_COUNT 8
#define CERT_COUNT 32

struct nginx {
    pid_t pid; /* 0: not running */
    char *dir;
    int ports[NGINX_LISTENER_COUNT];
    int reserved[NGINX_LISTENER_COUNT]; /* they keep the ports, 0: none */
};

struct listener {
    bool ip6;
    const char *cert; /* NULL: clear text */
    const char *more; /* directives of this server alone */
};

#define CLIENT_CA "ssl_client_certificate CERTS/client-ca.pem;"

static const struct listener listeners[NGINX_LISTENER_COUNT] = {
    [NGINX_PLAIN] = {false, NULL, ""},
    [NGINX_PLAIN_IP6] = {true, NULL, ""},
    [NGINX_SHORT] = {false, NULL, "keepalive_requests 3;"},
    [NGINX_BRIEF] = {false, NULL, "keepalive_timeout 1s;"},
    [NGINX_TLS] = {false, "server", ""},
    [NGINX_TLS_IP6] = {true, "server", ""},
    [NGINX_TLS_SHORT] = {false, "server", "keepalive_requests 3;"},
    [NGINX_TLS_12] = {false, "server", "ssl_protocols TLSv1.2;"},
    [NGINX_TLS_13] = {false, "server", "ssl_protocols TLSv1.3;"},
    [NGINX_TLS_RSA] = {false, "server-rsa", ""},
    [NGINX_TLS_CLIENT] = {false, "server", "ssl_verify_client on;" CLIENT_CA},
    [NGINX_TLS_CLIENT_OPTIONAL] = {false, "server", "ssl_verify_client optional;" CLIENT_CA},
    [NGINX_TLS_EXPIRED] = {false, "expired", ""},
    [NGINX_TLS_WRONGNAME] = {false, "wrongname", ""},
    [NGINX_TLS_SELFSIGNED] = {false, "selfsigned", ""},
    [NGINX_TLS_UNKNOWN] = {false, "unknown", ""},
    [NGINX_TLS_NOSAN] = {false, "nosan", ""},
    [NGINX_TLS_WILDCARD] = {false, "wildcard", ""},
    [NGINX_HTTP2] = {false, NULL, ""},
    [NGINX_TLS_HTTP2] = {false, "server", ""},
    [NGINX_TLS_HTTP2_CBC] = {false, "server",
                             "ssl_protocols TLSv1.2;"
                             "ssl_ciphers ECDHE-ECDSA-AES128-SHA;"},
};

static const char http_text[] =
    "daemon off;\n"
    "worker_processes 1;\n"
    "error_log error.log;\n"
    "pid nginx.pid;\n"
    "events { worker_connections 4096; }\n"
    "http {\n"
    "  default_type text/plain;\n"
    "  log_format plain '$request_method $request_uri $status $server_port $connection';\n"
    "  access_log access.log plain;\n"
    "  client_body_temp_path body_temp;\n"
    "  proxy_temp_path proxy_temp;\n"
    "  fastcgi_temp_path fastcgi_temp;\n"
    "  uwsgi_temp_path uwsgi_temp;\n"
    "  scgi_temp_path scgi_temp;\n"
    "  sendfile on;\n"
    "  keepalive_requests 1000000;\n"
    "  keepalive_timeout 75s;\n"
    "  client_max_body_size 0;\n"
    "  ssl_protocols TLSv1.2 TLSv1.3;\n"
    "  ssl_session_cache shared:tests:1m;\n";

static const char headers_text[] =
    "add_header X-Connection \"$connection $connection_requests\" always;\n"
    "add_header X-Tls $ssl_protocol always;\n"
    "add_header X-Resumed $ssl_session_reused always;\n"
    "add_header X-Sni $ssl_server_name always;\n"
    "add_header X-Alpn $ssl_alpn_protocol always;\n"
    "add_header X-Client-Verify $ssl_client_verify always;\n";

static const char locations_text[] =
    "include headers.conf;\n"
    "root html;\n"
    "location = /echo { return 200 '$request_method $request_uri $server_protocol\\n"
    "host=$http_host\\nuser-agent=$http_user_agent\\naccept=$http_accept\\n"
    "authorization=$http_authorization\\nx-test=$http_x_test\\n"
    "connection=$http_connection\\ncontent-length=$http_content_length\\n"
    "transfer-encoding=$http_transfer_encoding\\n'; }\n"
    "location = /status/204 { return 204; }\n"
    "location = /status/302 { return 302 /small; }\n"
    "location = /status/304 { return 304; }\n"
    "location = /status/404 { return 404 'nothing here\\n'; }\n"
    "location = /status/500 { return 500 'broken\\n'; }\n"
    "location = /limited { client_max_body_size 1k; proxy_pass "
    "http://self/accepted; }\n"
    "location = /accepted { return 200 'accepted\\n'; }\n"
    "location = /post {\n"
    "  client_body_in_file_only on;\n"
    "  proxy_pass http://self/accepted;\n"
    "  proxy_method GET; proxy_pass_request_body off; proxy_set_header Content-Length '';\n"
    "  proxy_hide_header X-Connection;\n"
    "  include headers.conf;\n"
    "  add_header X-Body-File $request_body_file always;\n"
    "}\n"
    "location /upload/ { root .; dav_methods PUT DELETE; create_full_put_path on; }\n"
    "location = /close { keepalive_timeout 0; }\n"
    "location /chunked/ { alias html/; ssi on; ssi_types text/plain; }\n"
    "location /slow/ { alias html/; limit_rate 256k; }\n";

const char *test_cert(const char *name)
{
    static char paths[CERT_COUNT][512];
    static unsigned next;
    char *path = paths[next++ % CERT_COUNT];
    const char *dir = getenv("AIODUCT_TEST_CERTS");
    snprintf(path, sizeof paths[0], "%s/%s", dir != NULL ? dir : TEST_CERTS_DIR, name);
    return path;
}

/* "CERTS" in a directive stands for the directory of certificates. */
static void print_directives(FILE *file, const char *text)
{
    const char *mark = strstr(text, "CERTS");
    if (mark == NULL) {
        fprintf(file, "    %s\n", text);
    } else {
        fprintf(file, "    %.*s%s%s\n", (int)(mark - text), text, test_cert(""), mark + 6);
    }
}

static int write_text(const char *dir, const char *name, const char *text)
{
    char *path = test_format("%s/%s", dir, name);
    int code = path == NULL ? -ENOMEM : test_file_write(path, text, strlen(text));
    free(path);
    return code;
}

static int write_config(const struct nginx *nginx)
{
    char *path = test_format("%s/nginx.conf", nginx->dir);
    char *html = test_format("%s/html", nginx->dir);
    char *upload = test_format("%s/upload", nginx->dir);
    FILE *file = path == NULL ? NULL : fopen(path, "we");
    int code = file == NULL || mkdir(html, 0755) != 0 || mkdir(upload, 0755) != 0 ? -errno : 0;
    if (code == 0) {
        if (geteuid() == 0) {
            fputs("user root;\n", file); /* the worker writes into a directory of ours */
        }
        fputs(http_text, file);
        fprintf(file, "  upstream self { server 127.0.0.1:%d; }\n", nginx->ports[NGINX_PLAIN]);
        for (int i = 0; i < NGINX_LISTENER_COUNT; i++) {
            const struct listener *l = &listeners[i];
            bool is_http2 = i == NGINX_HTTP2 || i == NGINX_TLS_HTTP2 || i == NGINX_TLS_HTTP2_CBC;
            if (nginx->ports[i] == 0) {
                continue;
            }
            fprintf(file, "  server {\n    listen %s:%d%s%s;\n", l->ip6 ? "[::1]" : "127.0.0.1",
                    nginx->ports[i], l->cert != NULL ? " ssl" : "", is_http2 ? " http2" : "");
            if (i == NGINX_PLAIN || i == NGINX_TLS) {
                fprintf(file, "    listen unix:%s/%s;\n", nginx->dir,
                        i == NGINX_PLAIN ? "plain.sock" : "tls.sock ssl");
            }
            if (l->cert != NULL) {
                fprintf(file, "    ssl_certificate %s%s.pem;\n", test_cert(""), l->cert);
                fprintf(file, "    ssl_certificate_key %s%s.key;\n", test_cert(""), l->cert);
            }
            print_directives(file, l->more);
            fputs("    include locations.conf;\n  }\n", file);
        }
        fputs("}\n", file);
        code = write_text(nginx->dir, "headers.conf", headers_text);
    }
    if (code == 0) {
        code = write_text(nginx->dir, "locations.conf", locations_text);
    }
    if (file != NULL) {
        fclose(file);
    }
    free(upload);
    free(html);
    free(path);
    return code;
}

/* A listening socket on a port of the system's choice -> descriptor or -errno */
static int listen_any(struct nginx *nginx, int which)
{
    bool ip6 = listeners[which].ip6;
    int reserved = port_reserve(ip6, &nginx->ports[which]);
    if (reserved < 0) {
        return reserved;
    }
    nginx->reserved[which] = reserved;
    int fd = port_bind(ip6, nginx->ports[which]);
    if (fd >= 0 && listen(fd, 511) != 0) {
        int code = -errno;
        close(fd);
        return code;
    }
    return fd;
}

/* nginx takes over the sockets that the variable NGINX names. */
static void run_child(const struct nginx *nginx, const int *fds, pid_t parent)
{
    char inherited[NGINX_LISTENER_COUNT * 12 + 16] = "NGINX=";
    size_t at = strlen(inherited);
    for (int i = 0; i < NGINX_LISTENER_COUNT; i++) {
        if (fds[i] >= 0) {
            fcntl(fds[i], F_SETFD, 0);
            at += (size_t)snprintf(inherited + at, sizeof inherited - at, "%d;", fds[i]);
        }
    }
    char conf[512], log[512];
    snprintf(conf, sizeof conf, "%s/nginx.conf", nginx->dir);
    snprintf(log, sizeof log, "%s/error.log", nginx->dir);
    /* A group of its own, so that master and worker can be killed together; and an orderly end if
     * the test dies. */
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(127);
    }
    char *const argv[] = {"nginx", "-p", (char *)nginx->dir, "-c", conf, "-e", log, NULL};
    char *const envp[] = {inherited, NULL};
    execve(TEST_NGINX, argv, envp);
    _exit(127);
}

/* One request over a connection of its own -> bytes read, or -errno */
static int ask(const struct nginx *nginx, const char *path, char *answer, size_t room)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)nginx->ports[NGINX_PLAIN]),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    char request[256];
    int bytes = snprintf(request, sizeof request, "GET %s HTTP/1.0\r\n\r\n", path);
    size_t count = 0;
    ssize_t got = -1;
    if (connect(fd, (struct sockaddr *)&in, sizeof in) == 0 &&
        send(fd, request, (size_t)bytes, MSG_NOSIGNAL) == bytes) {
        /* An io_uring that is going away interrupts system calls of its process. */
        while ((got = recv(fd, answer + count, room - 1 - count, 0)) > 0 ||
               (got < 0 && errno == EINTR)) {
            count += got > 0 ? (size_t)got : 0;
        }
    }
    int code = got < 0 ? -errno : (int)count;
    answer[count] = '\0';
    close(fd);
    return code;
}

static void print_log(const struct nginx *nginx)
{
    char *path = test_format("%s/error.log", nginx->dir);
    char *text = path != NULL ? test_file_read(path, NULL) : NULL;
    printf("# nginx did not start: %s\n", text != NULL ? text : "no log");
    free(text);
    free(path);
}

static int listen_all(struct nginx *nginx, int *fds)
{
    for (int i = 0; i < NGINX_LISTENER_COUNT; i++) {
        fds[i] = -1;
    }
    for (int i = 0; i < NGINX_LISTENER_COUNT; i++) {
        fds[i] = listen_any(nginx, i);
        if (fds[i] < 0 && !listeners[i].ip6) {
            return fds[i];
        }
    }
    return 0;
}

int nginx_start(struct nginx **out)
{
    if (access(TEST_NGINX, X_OK) != 0) {
        return -ENOENT;
    }
    struct nginx *nginx = calloc(1, sizeof *nginx);
    if (nginx == NULL) {
        return -ENOMEM;
    }
    nginx->dir = test_dir_create();
    int fds[NGINX_LISTENER_COUNT];
    int code = listen_all(nginx, fds);
    if (code == 0) {
        code = nginx->dir == NULL ? -ENOMEM : write_config(nginx);
    }
    if (code == 0) {
        pid_t parent = getpid();
        fflush(stdout);
        prctl(PR_SET_CHILD_SUBREAPER, 1); /* the worker is ours once its master is killed */
        nginx->pid = fork();
        if (nginx->pid == 0) {
            run_child(nginx, fds, parent);
        }
        if (nginx->pid > 0) {
            setpgid(nginx->pid, nginx->pid);
        }
        code = nginx->pid < 0 ? -errno : 0;
    }
    for (int i = 0; i < NGINX_LISTENER_COUNT; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    if (code == 0) {
        /* The sockets listen already: this connection waits in their queue until nginx runs, and is
         * reset if it never does. */
        char answer[1024];
        int got = ask(nginx, "/accepted", answer, sizeof answer);
        if (got < 0 || strstr(answer, "accepted") == NULL) {
            print_log(nginx);
            code = got < 0 ? got : -EPROTO;
        }
    }
    if (code != 0) {
        nginx_stop(nginx);
        return code;
    }
    *out = nginx;
    return 0;
}

/* -> when no process of the group is left */
static void wait_group(const struct nginx *nginx)
{
    while (waitpid(-nginx->pid, NULL, 0) > 0 || errno == EINTR) {
    }
}

void nginx_stop(struct nginx *nginx)
{
    if (nginx == NULL) {
        return;
    }
    if (nginx->pid > 0) {
        kill(nginx->pid, SIGTERM);
        wait_group(nginx);
    }
    for (int i = 0; i < NGINX_LISTENER_COUNT; i++) {
        if (nginx->reserved[i] > 0) {
            close(nginx->reserved[i]);
        }
    }
    test_dir_remove(nginx->dir);
    free(nginx);
}

void nginx_kill(struct nginx *nginx)
{
    if (nginx->pid > 0) {
        kill(-nginx->pid, SIGKILL);
        wait_group(nginx);
        nginx->pid = 0;
    }
}

int nginx_port(const struct nginx *nginx, enum nginx_listener listener)
{
    return nginx->ports[listener];
}

const char *nginx_dir(const struct nginx *nginx)
{
    return nginx->dir;
}

const char *nginx_url(const struct nginx *nginx, enum nginx_listener listener, const char *host,
                      const char *path)
{
    static char urls[URL_COUNT][512];
    static unsigned next;
    char *url = urls[next++ % URL_COUNT];
    if (host == NULL) {
        host = listeners[listener].ip6 ? "[::1]" : "localhost";
    }
    snprintf(url, sizeof urls[0], "%s://%s:%d%s",
             listeners[listener].cert != NULL ? "https" : "http", host, nginx->ports[listener],
             path);
    return url;
}

int nginx_add_file(const struct nginx *nginx, const char *name, uint64_t bytes, char hex[65])
{
    char *path = test_format("%s/html/%s", nginx->dir, name);
    int code = path == NULL ? -ENOMEM : test_file_create(path, bytes);
    if (code == 0 && hex != NULL) {
        code = test_hash_file(path, hex);
    }
    free(path);
    return code;
}

static long count_text(const char *path, const char *text)
{
    char *log = test_file_read(path, NULL);
    long count = 0;
    for (char *at = log; at != NULL && (at = strstr(at, text)) != NULL; at++) {
        count++;
    }
    free(log);
    return count;
}

long nginx_wait_log(const struct nginx *nginx, const char *text, long count)
{
    char *path = test_format("%s/access.log", nginx->dir);
    long found = path == NULL ? -1 : count_text(path, text);
    for (int i = 0; path != NULL && found < count && i < 1000; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
        found = count_text(path, text);
    }
    free(path);
    return found;
}
