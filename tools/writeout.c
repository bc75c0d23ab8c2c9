/* SPDX-License-Identifier: MIT */
#include "writeout.h"

#include "json.h"
#include "url.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- values ---- */

struct value {
    enum { TEXT, NUMBER, SECONDS, CODE } kind; /* CODE: a number of three digits */
    const char *text;                          /* NULL: there is none */
    uint64_t number;                           /* of SECONDS nanoseconds */
    char buffer[2048];                         /* for texts that are made */
};

static void text(struct value *v, const char *from)
{
    v->kind = TEXT;
    v->text = from;
}

static void number(struct value *v, uint64_t from)
{
    v->kind = NUMBER;
    v->number = from;
}

static void seconds(struct value *v, uint64_t ns)
{
    v->kind = SECONDS;
    v->number = ns;
}

#define TEXT_OF(name, expression)                                            \
    static void get_##name(struct value *v, const struct transfer_record *r) \
    {                                                                        \
        text(v, expression);                                                 \
    }
#define NUMBER_OF(name, expression)                                          \
    static void get_##name(struct value *v, const struct transfer_record *r) \
    {                                                                        \
        number(v, (uint64_t)(expression));                                   \
    }
#define SECONDS_OF(name, expression)                                         \
    static void get_##name(struct value *v, const struct transfer_record *r) \
    {                                                                        \
        seconds(v, expression);                                              \
    }

TEXT_OF(content_type, record_field(r, "content-type", 12))
TEXT_OF(errormsg, r->error.message[0] != '\0' ? r->error.message : NULL)
TEXT_OF(filename_effective, r->file)
TEXT_OF(local_ip, r->local_address)
TEXT_OF(method, r->method)
TEXT_OF(protocol, r->protocol)
TEXT_OF(referer, r->referer)
TEXT_OF(remote_ip, r->peer_address)
TEXT_OF(runtime, r->runtime)
TEXT_OF(runtime_origin, r->runtime_origin)
TEXT_OF(tls_cipher, r->tls_cipher)
TEXT_OF(tls_version, r->tls_version)
TEXT_OF(url, r->given_url)
TEXT_OF(url_effective, r->url)
NUMBER_OF(conn_id, r->connection)
NUMBER_OF(exitcode, r->exit_code)
NUMBER_OF(local_port, r->local_port)
NUMBER_OF(num_connects, r->connects)
NUMBER_OF(num_headers, r->field_count)
NUMBER_OF(num_replays, r->replays)
NUMBER_OF(remote_port, r->peer_port)
NUMBER_OF(size_download, r->body_bytes)
NUMBER_OF(size_header, r->head_bytes)
NUMBER_OF(size_request, r->request_bytes)
NUMBER_OF(size_upload, r->upload_bytes)
NUMBER_OF(ssl_verify_result, r->error.verify_status)
NUMBER_OF(urlnum, r->index)
SECONDS_OF(time_appconnect, r->timings.secured_ns)
SECONDS_OF(time_connect, r->timings.connected_ns)
SECONDS_OF(time_namelookup, r->timings.resolved_ns)
SECONDS_OF(time_pretransfer, r->timings.picked_ns)
SECONDS_OF(time_queue, r->timings.dialled_ns != 0 ? r->timings.dialled_ns : r->timings.picked_ns)
SECONDS_OF(time_starttransfer, r->timings.first_byte_ns)
SECONDS_OF(time_total, r->timings.end_ns)

static void get_http_code(struct value *v, const struct transfer_record *r)
{
    v->kind = CODE;
    v->number = (uint64_t)r->status;
}

/* No proxy is asked, and no redirect followed. */
static void get_http_connect(struct value *v, const struct transfer_record *r)
{
    (void)r;
    v->kind = CODE;
    v->number = 0;
}

static void get_num_redirects(struct value *v, const struct transfer_record *r)
{
    (void)r;
    number(v, 0);
}

static void get_time_redirect(struct value *v, const struct transfer_record *r)
{
    (void)r;
    seconds(v, 0);
}

static void get_http_version(struct value *v, const struct transfer_record *r)
{
    text(v, r->version == 0 ? "0" : r->version == 10 ? "1.0" : r->version == 11 ? "1.1" : "2");
}

static void get_scheme(struct value *v, const struct transfer_record *r)
{
    /* One that is no URL at all has none. */
    text(v, NULL);
    if (url_authority(r->url) != r->url) {
        snprintf(v->buffer, sizeof v->buffer, "%.*s", (int)strcspn(r->url, ":"), r->url);
        v->text = v->buffer;
    }
}

static uint64_t speed(uint64_t bytes, const struct transfer_record *r)
{
    double took = (double)r->timings.end_ns / 1e9;
    return took > 0 ? (uint64_t)((double)bytes / took) : 0;
}

NUMBER_OF(speed_download, speed(r->body_bytes, r))
NUMBER_OF(speed_upload, speed(r->upload_bytes, r))

/* Where a redirect would lead. */
static void get_redirect_url(struct value *v, const struct transfer_record *r)
{
    const char *location = record_field(r, "location", 8);
    bool redirects = r->status / 100 == 3 && r->status != 304 && location != NULL;
    text(v,
         redirects && url_join(r->url, location, v->buffer, sizeof v->buffer) ? v->buffer : NULL);
}

struct variable {
    const char *name;
    void (*get)(struct value *v, const struct transfer_record *r);
};

#define VARIABLE(name)    \
    {                     \
#name, get_##name \
    }

static const struct variable variables[] = {
    VARIABLE(conn_id),
    VARIABLE(content_type),
    VARIABLE(errormsg),
    VARIABLE(exitcode),
    VARIABLE(filename_effective),
    VARIABLE(http_code),
    VARIABLE(http_connect),
    VARIABLE(http_version),
    VARIABLE(local_ip),
    VARIABLE(local_port),
    VARIABLE(method),
    VARIABLE(num_connects),
    VARIABLE(num_headers),
    VARIABLE(num_redirects),
    VARIABLE(num_replays),
    VARIABLE(protocol),
    VARIABLE(redirect_url),
    VARIABLE(referer),
    VARIABLE(remote_ip),
    VARIABLE(remote_port),
    {"response_code", get_http_code},
    VARIABLE(runtime),
    VARIABLE(runtime_origin),
    VARIABLE(scheme),
    VARIABLE(size_download),
    VARIABLE(size_header),
    VARIABLE(size_request),
    VARIABLE(size_upload),
    VARIABLE(speed_download),
    VARIABLE(speed_upload),
    VARIABLE(ssl_verify_result),
    VARIABLE(time_appconnect),
    VARIABLE(time_connect),
    VARIABLE(time_namelookup),
    VARIABLE(time_pretransfer),
    VARIABLE(time_queue),
    VARIABLE(time_redirect),
    VARIABLE(time_starttransfer),
    VARIABLE(time_total),
    VARIABLE(tls_cipher),
    VARIABLE(tls_version),
    VARIABLE(url),
    VARIABLE(url_effective),
    VARIABLE(urlnum),
    {"xfer_id", get_urlnum},
};
enum { VARIABLE_COUNT = sizeof variables / sizeof variables[0] };

static void print(FILE *to, const struct value *v, bool json)
{
    switch (v->kind) {
    case NUMBER:
        fprintf(to, "%" PRIu64, v->number);
        break;
    case CODE:
        fprintf(to, json ? "%" PRIu64 : "%03" PRIu64, v->number);
        break;
    case SECONDS:
        fprintf(to, "%" PRIu64 ".%06" PRIu64, v->number / 1000000000u,
                v->number % 1000000000u / 1000u);
        break;
    case TEXT:
        if (!json) {
            fputs(v->text != NULL ? v->text : "", to);
        } else if (v->text == NULL) {
            fputs("null", to);
        } else {
            json_string(to, v->text);
        }
    }
}

/* ---- all at once ---- */

static void print_json(FILE *to, const struct transfer_record *r)
{
    struct value v;
    fputc('{', to);
    for (size_t i = 0; i < VARIABLE_COUNT; i++) {
        variables[i].get(&v, r);
        fputs(i > 0 ? "," : "", to);
        json_string(to, variables[i].name);
        fputc(':', to);
        print(to, &v, true);
    }
    fputc('}', to);
}

static char *lower(const char *name)
{
    char *copy = strdup(name);
    for (char *c = copy; c != NULL && *c != '\0'; c++) {
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    }
    return copy;
}

/* {"name":["value",...],...}, names in lower case, each once. */
static void print_header_json(FILE *to, const struct transfer_record *r)
{
    bool any = false;
    fputs("{", to);
    const char *at = r->fields;
    for (size_t i = 0; i < r->field_count; i++) {
        const char *name = at, *value = at + strlen(at) + 1;
        at = value + strlen(value) + 1;
        if (record_field(r, name, strlen(name)) != value) {
            continue; /* was there with the first of that name */
        }
        char *shown = lower(name);
        fputs(any ? ",\n" : "", to);
        json_string(to, shown);
        free(shown);
        fputs(":[", to);
        json_string(to, value);
        const char *rest = at;
        for (size_t k = i + 1; k < r->field_count; k++) {
            const char *more = rest + strlen(rest) + 1;
            if (strcasecmp(rest, name) == 0) {
                fputc(',', to);
                json_string(to, more);
            }
            rest = more + strlen(more) + 1;
        }
        fputc(']', to);
        any = true;
    }
    fputs("\n}", to);
}

/* ---- the format ---- */

struct writer {
    FILE *to;
    const struct transfer_record *record;
    bool over; /* %{onerror} without an error */
};

static bool is(const char *name, size_t bytes, const char *word)
{
    return strlen(word) == bytes && memcmp(word, name, bytes) == 0;
}

static bool print_named(struct writer *w, const char *name, size_t bytes)
{
    struct value v;
    for (size_t i = 0; i < VARIABLE_COUNT; i++) {
        if (is(name, bytes, variables[i].name)) {
            variables[i].get(&v, w->record);
            print(w->to, &v, false);
            return true;
        }
    }
    return false;
}

/* At "%{": -> bytes of the format used up. */
static size_t print_variable(struct writer *w, const char *at)
{
    const char *end = strchr(at, '}');
    if (end == NULL) {
        fputs("%{", w->to);
        return 2;
    }
    const char *name = at + 2;
    size_t bytes = (size_t)(end - name);
    if (is(name, bytes, "stderr")) {
        w->to = stderr;
    } else if (is(name, bytes, "stdout")) {
        w->to = stdout;
    } else if (is(name, bytes, "onerror")) {
        w->over = w->record->exit_code == 0;
    } else if (is(name, bytes, "json")) {
        print_json(w->to, w->record);
    } else if (is(name, bytes, "header_json")) {
        print_header_json(w->to, w->record);
    } else if (!print_named(w, name, bytes)) {
        fprintf(stderr, "aioduct: unknown -w variable: '%.*s'\n", (int)bytes, name);
    }
    return bytes + 3;
}

/* At "%header{": as above. */
static size_t print_header(struct writer *w, const char *at)
{
    const char *name = at + strlen("%header{");
    const char *end = strchr(name, '}');
    if (end == NULL) {
        fputs("%header{", w->to);
        return strlen("%header{");
    }
    const char *value = record_field(w->record, name, (size_t)(end - name));
    fputs(value != NULL ? value : "", w->to);
    return (size_t)(end + 1 - at);
}

static char escape(char c)
{
    return (char)(c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : '\0');
}

void writeout(const char *format, const struct transfer_record *record)
{
    struct writer w = {.to = stdout, .record = record};
    for (const char *at = format; *at != '\0' && !w.over;) {
        if (at[0] == '%' && at[1] == '{') {
            at += print_variable(&w, at);
        } else if (strncmp(at, "%header{", strlen("%header{")) == 0) {
            at += print_header(&w, at);
        } else if (at[0] == '%' && at[1] == '%') {
            fputc('%', w.to);
            at += 2;
        } else if (at[0] == '\\' && escape(at[1]) != '\0') {
            fputc(escape(at[1]), w.to);
            at += 2;
        } else {
            fputc(*at++, w.to);
        }
    }
    fflush(stdout);
}
