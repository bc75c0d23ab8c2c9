/* SPDX-License-Identifier: MIT */
#include "servers.h"

#include "files.h"
#include "port.h"
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define URL_COUNT 8

enum { PLAIN, TLS, PORT_COUNT };

struct server {
    enum server_kind kind;
    pid_t pid;
    char *dir;
    int ports[PORT_COUNT];
    const struct nginx *nginx; /* NULL: with no files */
    int backend_port;
    bool forward;
};

static int write_apache(const struct server *s, FILE *file);
static int write_haproxy(const struct server *s, FILE *file);
static int write_caddy(const struct server *s, FILE *file);
static int write_nghttpx(const struct server *s, FILE *file);

static const struct {
    const char *name, *package, *program;
    int (*write)(const struct server *s, FILE *config);
} kinds[SERVER_KIND_COUNT] = {
    [SERVER_APACHE] = {"Apache httpd", "apache2-bin", TEST_APACHE, write_apache},
    [SERVER_HAPROXY] = {"HAProxy", "haproxy", TEST_HAPROXY, write_haproxy},
    [SERVER_CADDY] = {"Caddy", "caddy", TEST_CADDY, write_caddy},
    [SERVER_NGHTTPX] = {"nghttpx", "nghttp2-proxy", TEST_NGHTTPX, write_nghttpx},
};

const char *server_name(enum server_kind kind)
{
    return kinds[kind].name;
}

const char *server_package(enum server_kind kind)
{
    return kinds[kind].package;
}

/* ---- files ---- */

static FILE *open_file(const struct server *s, const char *name, mode_t mode)
{
    char *path = test_format("%s/%s", s->dir, name);
    FILE *file = path == NULL ? NULL : fopen(path, "we");
    if (file != NULL) {
        fchmod(fileno(file), mode);
    }
    free(path);
    return file;
}

static int copy_into(FILE *to, const char *path)
{
    size_t bytes;
    char *text = test_file_read(path, &bytes);
    int code = text == NULL || fwrite(text, 1, bytes, to) != bytes ? -EIO : 0;
    free(text);
    return code;
}

/* The files of the nginx, as they are now, readable for all. */
static int copy_files(const struct server *s)
{
    char *from = test_format("%s/html", nginx_dir(s->nginx));
    char *to = test_format("%s/html", s->dir);
    DIR *dir = from == NULL || to == NULL || mkdir(to, 0755) != 0 ? NULL : opendir(from);
    int code = dir == NULL ? -EIO : 0;
    struct dirent *entry;
    while (code == 0 && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        char *source = test_format("%s/%s", from, entry->d_name);
        char *name = test_format("html/%s", entry->d_name);
        FILE *file = open_file(s, name, 0644);
        code = file == NULL ? -EIO : copy_into(file, source);
        if (file != NULL) {
            fclose(file);
        }
        free(name);
        free(source);
    }
    if (dir != NULL) {
        closedir(dir);
    }
    free(to);
    free(from);
    return code;
}

/* "@DIR@" and so on in @text stand for what is this server's own. */
static void print_template(const struct server *s, FILE *file, const char *text)
{
    char plain[16], tls[16], backend[16];
    snprintf(plain, sizeof plain, "%d", s->ports[PLAIN]);
    snprintf(tls, sizeof tls, "%d", s->ports[TLS]);
    snprintf(backend, sizeof backend, "%d", s->backend_port);
    const struct {
        const char *mark, *value;
    } marks[] = {{"@DIR@", s->dir},
                 {"@PLAIN@", plain},
                 {"@TLS@", tls},
                 {"@NGINX@", backend},
                 {"@CERT@", test_cert("server.pem")},
                 {"@KEY@", test_cert("server.key")}};
    while (*text != '\0') {
        size_t skip = 0;
        for (size_t i = 0; i < sizeof marks / sizeof marks[0] && skip == 0; i++) {
            if (strncmp(text, marks[i].mark, strlen(marks[i].mark)) == 0) {
                fputs(marks[i].value, file);
                skip = strlen(marks[i].mark);
            }
        }
        if (skip == 0) {
            putc(*text, file);
        }
        text += skip == 0 ? 1 : skip;
    }
}

/* ---- Apache httpd ---- */

static const char apache_text[] = "ServerName localhost\n"
                                  "DefaultRuntimeDir @DIR@\n"
                                  "PidFile @DIR@/httpd.pid\n"
                                  "ErrorLog @DIR@/error.log\n"
                                  "ScriptSock @DIR@/cgid.sock\n"
                                  "Mutex posixsem\n"
                                  "StartServers 1\n"
                                  "ServerLimit 1\n"
                                  "ThreadsPerChild 64\n"
                                  "MaxRequestWorkers 64\n"
                                  "MaxKeepAliveRequests 0\n"
                                  "KeepAliveTimeout 75\n"
                                  "Protocols h2 h2c http/1.1\n"
                                  "Listen 127.0.0.1:@PLAIN@\n"
                                  "Listen 127.0.0.1:@TLS@\n"
                                  "DocumentRoot @DIR@/html\n"
                                  "<Directory />\n"
                                  "Require all granted\n"
                                  "</Directory>\n"
                                  "SetEnv BODIES @DIR@/bodies\n"
                                  "ScriptAlias /post @DIR@/post\n"
                                  "ScriptAlias /chunked @DIR@/chunked\n"
                                  "Alias /slow/ @DIR@/html/\n"
                                  "<Location /slow/>\n"
                                  "SetOutputFilter RATE_LIMIT\n"
                                  "SetEnv rate-limit 256\n"
                                  "</Location>\n"
                                  "SetEnvIf Request_URI ^/close nokeepalive\n"
                                  "<VirtualHost 127.0.0.1:@TLS@>\n"
                                  "SSLEngine on\n"
                                  "SSLCertificateFile @CERT@\n"
                                  "SSLCertificateKeyFile @KEY@\n"
                                  "</VirtualHost>\n";

/* The server gives a script the whole body before it takes a byte of the answer. */
static const char apache_post[] = "#!/bin/sh\n"
                                  "cat >\"$BODIES/$$\"\n"
                                  "printf 'Content-Type: text/plain\\r\\n\\r\\n'\n"
                                  "cat \"$BODIES/$$\"\n"
                                  "rm \"$BODIES/$$\"\n";

static const char apache_chunked[] = "#!/bin/sh\n"
                                     "printf 'Content-Type: text/plain\\r\\n\\r\\n'\n"
                                     "exec cat \"$DOCUMENT_ROOT$PATH_INFO\"\n";

static const char *apache_modules_dir(void)
{
    static const char *const dirs[] = {"/usr/lib/apache2/modules", "/usr/lib64/httpd/modules"};
    return access(dirs[0], R_OK) == 0 ? dirs[0] : dirs[1];
}

static int write_script(const struct server *s, const char *name, const char *text)
{
    FILE *file = open_file(s, name, 0755);
    if (file == NULL) {
        return -EIO;
    }
    fputs(text, file);
    fclose(file);
    return 0;
}

static int write_apache(const struct server *s, FILE *file)
{
    static const char *const modules[] = {"mpm_event", "authz_core", "alias", "cgid",     "env",
                                          "setenvif",  "ssl",        "http2", "ratelimit"};
    char *bodies = test_format("%s/bodies", s->dir);
    int code = bodies == NULL || mkdir(bodies, 0777) != 0 || chmod(bodies, 0777) != 0 ? -EIO : 0;
    free(bodies);
    if (code < 0 || write_script(s, "post", apache_post) < 0 ||
        write_script(s, "chunked", apache_chunked) < 0) {
        return -EIO;
    }
    for (size_t i = 0; i < sizeof modules / sizeof modules[0]; i++) {
        fprintf(file, "LoadModule %s_module %s/mod_%s.so\n", modules[i], apache_modules_dir(),
                modules[i]);
    }
    if (geteuid() == 0) {
        fputs("User #65534\nGroup #65534\n", file);
    }
    print_template(s, file, apache_text);
    return 0;
}

/* ---- HAProxy ---- */

static const char haproxy_text[] =
    "global\n"
    "  nbthread 1\n"
    "  maxconn 200\n"
    "defaults\n"
    "  mode http\n"
    "  timeout connect 10s\n"
    "  timeout client 30s\n"
    "  timeout server 30s\n"
    "  timeout http-keep-alive 75s\n"
    "frontend all\n"
    "  bind 127.0.0.1:@PLAIN@\n"
    "  bind 127.0.0.1:@TLS@ ssl crt pair.pem alpn h2,http/1.1\n"
    "  http-request deny if { path /deny }\n"
    "  http-request return content-type text/plain string \"returned\" if { path /return }\n"
    "  use_backend closing if { path /close }\n"
    "  use_backend late if { path /late }\n"
    "  default_backend nginx\n"
    "backend nginx\n"
    "  server nginx 127.0.0.1:@NGINX@\n"
    "backend closing\n"
    "  http-response set-header Connection close\n"
    "  server nginx 127.0.0.1:@NGINX@\n"
    "backend late\n"
    "  option http-buffer-request\n"
    "  timeout http-request 300ms\n"
    "  server nginx 127.0.0.1:@NGINX@\n";

static int write_haproxy(const struct server *s, FILE *file)
{
    FILE *pair = open_file(s, "pair.pem", 0600);
    if (pair == NULL) {
        return -EIO;
    }
    int code = copy_into(pair, test_cert("server.pem"));
    code = code < 0 ? code : copy_into(pair, test_cert("server.key"));
    fclose(pair);
    print_template(s, file, haproxy_text);
    return code;
}

/* ---- Caddy ---- */

static const char caddy_text[] = "{\n"
                                 "  admin off\n"
                                 "  auto_https off\n"
                                 "  storage file_system @DIR@/storage\n"
                                 "  servers {\n"
                                 "    protocols h1 h2 h2c\n"
                                 "  }\n"
                                 "}\n"
                                 "(site) {\n"
                                 "  bind 127.0.0.1\n"
                                 "  root * @DIR@/html\n"
                                 "  header /close Connection close\n"
                                 "  handle /post {\n"
                                 "    respond \"{http.request.body}\"\n"
                                 "  }\n"
                                 "  handle_path /chunked/* {\n"
                                 "    header {\n"
                                 "      -Content-Length\n"
                                 "      defer\n"
                                 "    }\n"
                                 "    file_server\n"
                                 "  }\n"
                                 "  handle /slow/* {\n"
                                 "    reverse_proxy 127.0.0.1:@NGINX@ {\n"
                                 "      flush_interval -1\n"
                                 "    }\n"
                                 "  }\n"
                                 "  handle {\n"
                                 "    file_server\n"
                                 "  }\n"
                                 "}\n"
                                 "http://:@PLAIN@ {\n"
                                 "  import site\n"
                                 "}\n"
                                 "https://:@TLS@ {\n"
                                 "  import site\n"
                                 "  tls @CERT@ @KEY@\n"
                                 "}\n";

static int write_caddy(const struct server *s, FILE *file)
{
    print_template(s, file, caddy_text);
    return 0;
}

/* ---- nghttpx ---- */

static const char nghttpx_text[] = "frontend=127.0.0.1,@PLAIN@;no-tls\n"
                                   "frontend=127.0.0.1,@TLS@\n"
                                   "backend=127.0.0.1,@NGINX@\n"
                                   "certificate-file=@CERT@\n"
                                   "private-key-file=@KEY@\n"
                                   "workers=1\n"
                                   "no-ocsp=yes\n"
                                   "errorlog-file=@DIR@/error.log\n";

static int write_nghttpx(const struct server *s, FILE *file)
{
    print_template(s, file, nghttpx_text);
    if (s->forward) {
        fputs("http2-proxy=yes\n", file);
    }
    return 0;
}

/* ---- life ---- */

static int write_config(const struct server *s)
{
    FILE *file = open_file(s, "config", 0644);
    if (file == NULL) {
        return -EIO;
    }
    int code = kinds[s->kind].write(s, file);
    fclose(file);
    return code;
}

static pid_t start_process(const struct server *s)
{
    char *program = (char *)(uintptr_t)kinds[s->kind].program;
    char *const apache[] = {program, "-D", "FOREGROUND", "-d", s->dir, "-f", "config", NULL};
    char *const haproxy[] = {program, "-db", "-f", "config", NULL};
    char *const caddy[] = {program, "run", "--config", "config", "--adapter", "caddyfile", NULL};
    char *const nghttpx[] = {program, "--conf=config", NULL};
    char *const *const commands[] = {[SERVER_APACHE] = apache,
                                     [SERVER_HAPROXY] = haproxy,
                                     [SERVER_CADDY] = caddy,
                                     [SERVER_NGHTTPX] = nghttpx};
    return process_start(s->dir, commands[s->kind]);
}

static void print_messages(const struct server *s)
{
    static const char *const names[] = {"output", "error.log"};
    printf("# %s did not start\n", kinds[s->kind].name);
    for (size_t i = 0; i < 2; i++) {
        char *path = test_format("%s/%s", s->dir, names[i]);
        char *text = path != NULL ? test_file_read(path, NULL) : NULL;
        char *rest = NULL;
        char *line = text != NULL ? strtok_r(text, "\n", &rest) : NULL;
        for (; line != NULL; line = strtok_r(NULL, "\n", &rest)) {
            printf("# %s\n", line);
        }
        free(text);
        free(path);
    }
}

static int start(struct server *s)
{
    int reserved[PORT_COUNT] = {-1, -1};
    int code = s->dir == NULL || chmod(s->dir, 0755) != 0 ? -EIO : 0;
    for (int i = 0; i < PORT_COUNT && code == 0; i++) {
        reserved[i] = port_reserve(false, &s->ports[i]);
        code = reserved[i] < 0 ? reserved[i] : 0;
    }
    code = code < 0 || s->nginx == NULL ? code : copy_files(s);
    code = code < 0 ? code : write_config(s);
    if (code == 0) {
        s->pid = start_process(s);
        code = s->pid < 0 ? s->pid : 0;
    }
    for (int i = 0; i < PORT_COUNT; i++) {
        code = code < 0 ? code : process_wait_port(s->pid, s->ports[i]);
    }
    for (int i = 0; i < PORT_COUNT; i++) {
        if (reserved[i] >= 0) {
            close(reserved[i]);
        }
    }
    return code;
}

static int create(const struct server *wanted, struct server **out)
{
    if (access(kinds[wanted->kind].program, X_OK) != 0) {
        return -ENOENT;
    }
    struct server *s = malloc(sizeof *s);
    if (s == NULL) {
        return -ENOMEM;
    }
    *s = *wanted;
    s->dir = test_dir_create();
    int code = start(s);
    if (code < 0) {
        print_messages(s);
        server_stop(s);
        return code;
    }
    *out = s;
    return 0;
}

int server_start(enum server_kind kind, const struct nginx *nginx, struct server **out)
{
    const struct server wanted = {
        .kind = kind, .nginx = nginx, .backend_port = nginx_port(nginx, NGINX_PLAIN)};
    return create(&wanted, out);
}

int server_start_before(enum server_kind kind, int port, bool forward, struct server **out)
{
    const struct server wanted = {.kind = kind, .backend_port = port, .forward = forward};
    return create(&wanted, out);
}

void server_quit(const struct server *server)
{
    kill(server->pid, SIGQUIT);
}

void server_stop(struct server *server)
{
    if (server == NULL) {
        return;
    }
    process_stop(server->pid);
    test_dir_remove(server->dir);
    free(server);
}

const char *server_url(const struct server *server, bool tls, const char *path)
{
    static char urls[URL_COUNT][512];
    static unsigned next;
    char *url = urls[next++ % URL_COUNT];
    snprintf(url, sizeof urls[0], "%s://localhost:%d%s", tls ? "https" : "http",
             server->ports[tls ? TLS : PLAIN], path);
    return url;
}
