/* SPDX-License-Identifier: MIT */
#include "transfer.h"

#include "data.h"
#include "exitcode.h"
#include "options.h"
#include "output.h"
#include "url.h"
#include "verbose.h"
#include "writeout.h"

#include <aioduct/aioduct.h>
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <termios.h>
#include <unistd.h>

struct transfer {
    const struct options *options;
    struct aioduct_client *client;
    const char *url;
    const char *upload_name;   /* the -T that belongs to this URL; NULL: none */
    struct output body, heads; /* heads: -D */
    struct upload upload;
    bool refused; /* -f and the status says so */
    bool enough;  /* -I with a method that has a body: the head is all that is wanted */
    bool request_shown;
    struct transfer_record record;
};

static void complain(const struct options *o, const char *format, ...)
{
    if (o->silent && !o->show_error) {
        return;
    }
    va_list args;
    va_start(args, format);
    fputs("aioduct: ", stderr);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

static int complain_error(const struct options *o, const struct aioduct_error *e)
{
    int code = exitcode_of(e, o);
    complain(o, "(%d) %s", code, e->message[0] != '\0' ? e->message : aioduct_error_text(e->code));
    if (e->hint[0] != '\0') {
        complain(o, "hint: %s", e->hint);
    }
    return code;
}

/* ---- callbacks ---- */

static void learn(struct transfer *t, const struct aioduct_exchange *exchange)
{
    struct aioduct_exchange_info info = {.size = sizeof info};
    struct transfer_record *r = &t->record;
    if (aioduct_exchange_info(exchange, &info) < 0) {
        return;
    }
    snprintf(r->peer_address, sizeof r->peer_address, "%s", info.peer_address);
    snprintf(r->local_address, sizeof r->local_address, "%s", info.local_address);
    snprintf(r->protocol, sizeof r->protocol, "%s", info.protocol);
    snprintf(r->tls_version, sizeof r->tls_version, "%s", info.tls_version);
    snprintf(r->tls_cipher, sizeof r->tls_cipher, "%s", info.tls_cipher);
    r->peer_port = info.peer_port;
    r->local_port = info.local_port;
    r->connects = !info.reused && info.protocol[0] != '\0';
    r->head_bytes = info.head_bytes;
    r->body_bytes = info.body_bytes;
    r->upload_bytes = info.upload_bytes;
    r->request_bytes = info.request_head_bytes + info.upload_bytes;
    r->timings = info.timings;
    if (t->options->verbose && !t->request_shown && info.request_head != NULL) {
        t->request_shown = true;
        verbose_connection(&info, r->runtime, r->runtime_origin);
        verbose_head("> ", info.request_head, info.request_head_bytes, t->options->show_secrets);
    }
}

static int show_head(struct transfer *t, const struct aioduct_head *head)
{
    const struct options *o = t->options;
    if (o->verbose) {
        verbose_head("< ", head->raw, head->raw_bytes, o->show_secrets);
    }
    if (o->dump_header != NULL && output_write(&t->heads, head->raw, head->raw_bytes) < 0) {
        return -EIO;
    }
    if (o->include_head || o->head_only) {
        return output_write(&t->body, head->raw, head->raw_bytes);
    }
    return 0;
}

static void on_interim(struct aioduct_exchange *exchange, const struct aioduct_head *head,
                       void *user)
{
    learn(user, exchange);
    if (show_head(user, head) < 0) {
        aioduct_exchange_cancel(exchange);
    }
}

static int on_head(struct aioduct_exchange *exchange, const struct aioduct_head *head, void *user)
{
    struct transfer *t = user;
    uint32_t bytes = 0;
    const char *type = aioduct_head_find(head, "Content-Type", &bytes);
    learn(t, exchange);
    t->record.status = head->status;
    t->record.version = head->version;
    snprintf(t->record.content_type, sizeof t->record.content_type, "%.*s", (int)bytes,
             type != NULL ? type : "");
    if (t->options->fail && head->status >= 400) {
        t->refused = true;
        show_head(t, head);
        return -ECANCELED;
    }
    if (show_head(t, head) < 0 || output_open(&t->body) < 0) {
        return -EIO;
    }
    t->enough = t->options->head_only && strcmp(t->record.method, "HEAD") != 0;
    return t->enough ? -ECANCELED : 0;
}

static int on_body(struct aioduct_exchange *exchange, const void *bytes, size_t count, void *user)
{
    struct transfer *t = user;
    (void)exchange;
    return output_write(&t->body, bytes, count);
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct transfer *t = user;
    learn(t, exchange);
    if (!t->enough || error->code != AIODUCT_E_SINK) {
        t->record.error = *error;
    }
}

static const struct aioduct_callbacks callbacks = {
    .size = sizeof callbacks,
    .on_interim = on_interim,
    .on_head = on_head,
    .on_body = on_body,
    .on_done = on_done,
};

/* ---- the request ---- */

/* "Name: value", "Name:" (remove), "Name;" (empty value). */
static int add_header(struct aioduct_request *request, const struct options *o, const char *line)
{
    size_t name_bytes = strcspn(line, ":;");
    char *name = strndup(line, name_bytes);
    if (name == NULL) {
        return EXIT_MEMORY;
    }
    int code;
    if (line[name_bytes] == ';' && line[name_bytes + 1] == '\0') {
        code = aioduct_request_header_set(request, name, "");
    } else if (line[name_bytes] == ':') {
        const char *value = line + name_bytes + 1 + strspn(line + name_bytes + 1, " \t");
        code = *value == '\0' ? aioduct_request_header_remove(request, name)
                              : aioduct_request_header_add(request, name, value);
    } else {
        code = -EINVAL;
    }
    free(name);
    if (code < 0) {
        complain(o,
                 "(%d) header refused: '%s' (use 'Name: value'; no line breaks or control bytes)",
                 EXIT_USAGE, line);
        if (name_bytes == 4 && strncasecmp(line, "Host", 4) == 0) {
            complain(o, "hint: Host is that of the URL; --connect-to dials another address for it");
        }
        return EXIT_USAGE;
    }
    return 0;
}

/* What -H says of a field stands instead of -A, -e, -u and the URL's userinfo. */
static bool header_given(const struct options *o, const char *name)
{
    size_t bytes = strlen(name);
    for (size_t i = 0; i < o->headers.count; i++) {
        const char *line = o->headers.items[i];
        if (strncasecmp(line, name, bytes) == 0 && (line[bytes] == ':' || line[bytes] == ';')) {
            return true;
        }
    }
    return false;
}

static int add_headers(struct aioduct_request *request, const struct options *o)
{
    int code = 0;
    if (o->user_agent != NULL && !header_given(o, "User-Agent")) {
        code = o->user_agent[0] == '\0'
                   ? aioduct_request_header_remove(request, "User-Agent")
                   : aioduct_request_header_set(request, "User-Agent", o->user_agent);
    }
    bool referer = o->referer != NULL && o->referer[0] != '\0' && !header_given(o, "Referer");
    if (code == 0 && referer) {
        code = aioduct_request_header_set(request, "Referer", o->referer);
    }
    if (code < 0) {
        complain(o, "(%d) -A or -e: value refused (no line breaks or control bytes)", EXIT_USAGE);
        return EXIT_USAGE;
    }
    if (header_given(o, "Authorization")) {
        aioduct_request_header_remove(request, "Authorization"); /* the URL's */
    }
    for (size_t i = 0; i < o->headers.count; i++) {
        int exit_code = add_header(request, o, o->headers.items[i]);
        if (exit_code != 0) {
            return exit_code;
        }
    }
    if (o->has_data && !header_given(o, "Content-Type")) {
        aioduct_request_header_set(request, "Content-Type", "application/x-www-form-urlencoded");
    }
    return 0;
}

static char *ask_password(const char *user)
{
    struct termios old, quiet;
    char line[512];
    FILE *tty = fopen("/dev/tty", "r+e");
    if (tty == NULL) {
        return strdup("");
    }
    fprintf(tty, "Password for user '%s': ", user);
    fflush(tty);
    bool masked = tcgetattr(fileno(tty), &old) == 0;
    if (masked) {
        quiet = old;
        quiet.c_lflag &= ~(tcflag_t)ECHO;
        tcsetattr(fileno(tty), TCSANOW, &quiet);
    }
    char *got = fgets(line, sizeof line, tty);
    if (masked) {
        tcsetattr(fileno(tty), TCSANOW, &old);
        fputc('\n', tty);
    }
    fclose(tty);
    if (got == NULL) {
        return strdup("");
    }
    line[strcspn(line, "\r\n")] = '\0';
    return strdup(line);
}

static int add_user(struct aioduct_request *request, const struct options *o)
{
    if (o->user == NULL || header_given(o, "Authorization")) {
        return 0;
    }
    char *user = strndup(o->user, strcspn(o->user, ":"));
    const char *colon = strchr(o->user, ':');
    char *password = colon != NULL ? strdup(colon + 1) : ask_password(o->user);
    int code = user == NULL || password == NULL
                   ? -ENOMEM
                   : aioduct_request_basic_auth(request, user, password);
    free(user);
    free(password);
    if (code < 0) {
        complain(o, "(%d) -u: %s", EXIT_USAGE, aioduct_error_text(code));
        return EXIT_USAGE;
    }
    return 0;
}

static int add_body(struct transfer *t, struct aioduct_request *request)
{
    const struct options *o = t->options;
    int code = 0;
    if (o->has_data) {
        code = aioduct_request_body_borrow(request, o->data != NULL ? o->data : "", o->data_bytes);
    } else if (t->upload_name != NULL) {
        int exit_code = upload_open(&t->upload, t->upload_name);
        if (exit_code != 0) {
            return exit_code;
        }
        struct aioduct_body_source source = {
            .size = sizeof source,
            .read = upload_read,
            .rewind = t->upload.regular ? upload_rewind : NULL,
            .user = &t->upload,
        };
        code = aioduct_request_body_pull(request, &source, t->upload.length);
    }
    if (code < 0) {
        complain(o, "(%d) the body does not fit the headers: %s", EXIT_USAGE,
                 code == -EINVAL ? "leave Content-Length and Transfer-Encoding to the command"
                                 : aioduct_error_text(code));
    }
    return code == -ENOMEM ? EXIT_MEMORY : code < 0 ? EXIT_USAGE : 0;
}

static int make_request(struct transfer *t, struct aioduct_request **out)
{
    const struct options *o = t->options;
    t->record.method = o->method != NULL        ? o->method
                       : o->head_only           ? "HEAD"
                       : o->has_data            ? "POST"
                       : t->upload_name != NULL ? "PUT"
                                                : "GET";
    bool names_file = t->upload_name != NULL && strcmp(t->upload_name, "-") != 0;
    char *url = url_complete(t->url, names_file ? t->upload_name : NULL);
    if (url == NULL) {
        return EXIT_MEMORY;
    }
    int code = aioduct_request_create(t->record.method, url, out, &t->record.error);
    free(url);
    if (code < 0) {
        return complain_error(o, &t->record.error);
    }
    int exit_code = add_headers(*out, o);
    exit_code = exit_code != 0 ? exit_code : add_user(*out, o);
    exit_code = exit_code != 0 ? exit_code : add_body(t, *out);
    if (exit_code == 0 && o->http1_1) {
        aioduct_request_version(*out, AIODUCT_HTTP_1_1);
    }
    if (exit_code == 0 && o->max_time_ms > 0) {
        aioduct_request_total_timeout_ms(*out, o->max_time_ms);
    }
    return exit_code;
}

/* ---- one transfer ---- */

static int open_outputs(struct transfer *t, size_t index)
{
    const struct options *o = t->options;
    const char *name = index < o->outputs.count ? o->outputs.items[index] : NULL;
    char *made = NULL;
    if (name != NULL && name[0] == '\0') {
        made = output_name_from_url(t->url);
        if (made == NULL) {
            complain(o, "(%d) -O: no file name in the URL %s; use -o FILE", EXIT_WRITE, t->url);
            return EXIT_WRITE;
        }
        name = made;
    }
    int code = output_init(&t->body, name);
    free(made);
    if (code == 0) {
        code = output_init(&t->heads, o->dump_header);
        t->heads.append = index > 0; /* heads of all transfers go to one file */
    }
    t->record.file = t->body.path;
    return code < 0 ? EXIT_MEMORY : 0;
}

static int close_outputs(struct transfer *t, int exit_code)
{
    const struct options *o = t->options;
    struct output *each[] = {&t->body, &t->heads};
    for (size_t i = 0; i < 2; i++) {
        char *path = each[i]->path != NULL ? strdup(each[i]->path) : NULL;
        int code = output_close(each[i]);
        if (code < 0) {
            complain(o, "(%d) cannot write %s: %s", EXIT_WRITE,
                     path != NULL ? path : "standard output", strerror(-code));
            exit_code = EXIT_WRITE;
        }
        free(path);
    }
    t->record.file = NULL;
    return exit_code;
}

static int judge(struct transfer *t, const struct aioduct_error *error)
{
    const struct options *o = t->options;
    if (t->refused) {
        complain(o, "(%d) the server answered with status %d", EXIT_STATUS, t->record.status);
        return EXIT_STATUS;
    }
    if (error->code == 0 || (t->enough && error->code == AIODUCT_E_SINK)) {
        return 0;
    }
    if (t->body.error != 0 || t->heads.error != 0) {
        return EXIT_WRITE; /* told when the outputs are closed */
    }
    if (t->upload.error != 0) {
        complain(o, "(%d) cannot read %s: %s", EXIT_READ, t->upload_name,
                 strerror(t->upload.error));
        return EXIT_READ;
    }
    return complain_error(o, error);
}

static int transfer_one(struct aioduct_client *client, const struct options *o, size_t index)
{
    struct transfer t = {
        .options = o,
        .client = client,
        .url = o->urls.items[index],
        .upload_name = index < o->uploads.count ? o->uploads.items[index] : NULL,
        .upload = {.fd = -1},
        .body = {.fd = -1},
        .heads = {.fd = -1},
    };
    struct aioduct_request *request = NULL;
    struct aioduct_error error = {0};
    t.record.runtime = aioduct_client_runtime(client);
    t.record.runtime_origin = aioduct_client_runtime_origin(client);
    t.record.url = t.url;

    int exit_code = make_request(&t, &request);
    if (exit_code == 0) {
        exit_code = open_outputs(&t, index);
    }
    if (exit_code == 0) {
        t.record.url = aioduct_request_url(request);
        aioduct_client_perform(client, request, &callbacks, &t, &error);
        exit_code = judge(&t, &error);
    }
    t.record.exit_code = exit_code;
    if (o->write_out != NULL) {
        writeout(o->write_out, &t.record);
    }
    exit_code = close_outputs(&t, exit_code);
    upload_close(&t.upload);
    aioduct_request_destroy(request);
    return exit_code;
}

/* ---- the client ---- */

static bool is_address(const char *text)
{
    struct in6_addr any;
    return inet_pton(AF_INET, text, &any) == 1 || inet_pton(AF_INET6, text, &any) == 1;
}

static int make_client(const struct options *o, struct aioduct_client **out)
{
    struct aioduct_client_options c = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_error error = {0};
    c.runtime = o->runtime;
    c.connect_timeout_ms = o->connect_timeout_ms;
    c.family = o->family == 4   ? AIODUCT_FAMILY_IPV4
               : o->family == 6 ? AIODUCT_FAMILY_IPV6
                                : AIODUCT_FAMILY_ANY;
    c.resolve = o->resolve.items;
    c.connect_to = o->connect_to.items;
    c.tls.flags = AIODUCT_TLS_KEYLOG |
                  (o->insecure ? AIODUCT_TLS_NO_VERIFY_CHAIN | AIODUCT_TLS_NO_VERIFY_NAME : 0u);
    c.tls.ca_file = o->cacert;
    c.tls.cert_file = o->cert;
    c.tls.key_file = o->key;
    c.tls.key_password = o->cert_password;
    if (o->interface != NULL && is_address(o->interface)) {
        c.socket.local_address = o->interface;
    } else {
        c.socket.device = o->interface;
    }
    if (aioduct_client_create(&c, out, &error) < 0) {
        return complain_error(o, &error);
    }
    return 0;
}

static void on_log(int level, const char *message, void *user)
{
    const struct options *o = user;
    if (o->verbose || (level <= 2 && !o->silent)) {
        fprintf(stderr, "* %s\n", message);
    }
}

int transfer_all(const struct options *o)
{
    struct aioduct_client *client;
    aioduct_log_set(on_log, (void *)o, o->verbose ? 3 : 2);
    int exit_code = make_client(o, &client);
    if (exit_code == 0) {
        for (size_t i = 0; i < o->urls.count; i++) {
            exit_code = transfer_one(client, o, i);
        }
        aioduct_client_destroy(client);
    }
    aioduct_log_set(NULL, NULL, 0);
    return exit_code;
}
