/* SPDX-License-Identifier: MIT */
#include "writeout.h"

#include "url.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct variable {
    const char *name;
    void (*print)(FILE *to, const struct transfer_record *r);
};

static void seconds(FILE *to, uint64_t ns)
{
    fprintf(to, "%" PRIu64 ".%06" PRIu64, ns / 1000000000u, ns % 1000000000u / 1000u);
}

#define TEXT(member)                                                      \
    static void print_##member(FILE *to, const struct transfer_record *r) \
    {                                                                     \
        fputs(r->member != NULL ? r->member : "", to);                    \
    }
#define COUNT(member)                                                     \
    static void print_##member(FILE *to, const struct transfer_record *r) \
    {                                                                     \
        fprintf(to, "%" PRIu64, (uint64_t)r->member);                     \
    }
#define TIME(member)                                                      \
    static void print_##member(FILE *to, const struct transfer_record *r) \
    {                                                                     \
        seconds(to, r->timings.member);                                   \
    }

TEXT(url)
TEXT(method)
TEXT(runtime)
TEXT(runtime_origin)
TEXT(file)
COUNT(head_bytes)
COUNT(body_bytes)
COUNT(upload_bytes)
COUNT(request_bytes)
COUNT(peer_port)
COUNT(local_port)
COUNT(exit_code)
COUNT(connects)
TIME(resolved_ns)
TIME(connected_ns)
TIME(secured_ns)
TIME(first_byte_ns)
TIME(end_ns)

static void print_array(FILE *to, const char *text)
{
    fputs(text, to);
}
static void print_content_type(FILE *to, const struct transfer_record *r)
{
    print_array(to, r->content_type);
}
static void print_peer(FILE *to, const struct transfer_record *r)
{
    print_array(to, r->peer_address);
}
static void print_local(FILE *to, const struct transfer_record *r)
{
    print_array(to, r->local_address);
}
static void print_protocol(FILE *to, const struct transfer_record *r)
{
    print_array(to, r->protocol);
}
static void print_tls_version(FILE *to, const struct transfer_record *r)
{
    print_array(to, r->tls_version);
}
static void print_tls_cipher(FILE *to, const struct transfer_record *r)
{
    print_array(to, r->tls_cipher);
}
static void print_status(FILE *to, const struct transfer_record *r)
{
    fprintf(to, "%03d", r->status);
}
static void print_version(FILE *to, const struct transfer_record *r)
{
    if (r->version == 0 || r->version == 20) {
        fputs(r->version == 0 ? "0" : "2", to);
    } else {
        fprintf(to, "%d.%d", r->version / 10, r->version % 10);
    }
}
static void print_errormsg(FILE *to, const struct transfer_record *r)
{
    print_array(to, r->error.message);
}
static void print_scheme(FILE *to, const struct transfer_record *r)
{
    /* One that is no URL at all has none. */
    if (url_authority(r->url) != r->url) {
        fprintf(to, "%.*s", (int)strcspn(r->url, ":"), r->url);
    }
}
static void print_pretransfer(FILE *to, const struct transfer_record *r)
{
    seconds(to, r->timings.secured_ns != 0 ? r->timings.secured_ns : r->timings.connected_ns);
}
static void print_speed(FILE *to, const struct transfer_record *r)
{
    double took = (double)r->timings.end_ns / 1e9;
    fprintf(to, "%.0f", took > 0 ? (double)r->body_bytes / took : 0.0);
}
static void print_verify(FILE *to, const struct transfer_record *r)
{
    fprintf(to, "%u", r->error.verify_status);
}

static const struct variable variables[] = {
    {"content_type", print_content_type},
    {"errormsg", print_errormsg},
    {"exitcode", print_exit_code},
    {"filename_effective", print_file},
    {"http_code", print_status},
    {"http_version", print_version},
    {"local_ip", print_local},
    {"local_port", print_local_port},
    {"method", print_method},
    {"num_connects", print_connects},
    {"protocol", print_protocol},
    {"remote_ip", print_peer},
    {"remote_port", print_peer_port},
    {"response_code", print_status},
    {"runtime", print_runtime},
    {"runtime_origin", print_runtime_origin},
    {"scheme", print_scheme},
    {"size_download", print_body_bytes},
    {"size_header", print_head_bytes},
    {"size_request", print_request_bytes},
    {"size_upload", print_upload_bytes},
    {"speed_download", print_speed},
    {"ssl_verify_result", print_verify},
    {"time_appconnect", print_secured_ns},
    {"time_connect", print_connected_ns},
    {"time_namelookup", print_resolved_ns},
    {"time_pretransfer", print_pretransfer},
    {"time_starttransfer", print_first_byte_ns},
    {"time_total", print_end_ns},
    {"tls_cipher", print_tls_cipher},
    {"tls_version", print_tls_version},
    {"url", print_url},
    {"url_effective", print_url},
};

static const struct variable *find(const char *name, size_t bytes)
{
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        if (strlen(variables[i].name) == bytes && memcmp(variables[i].name, name, bytes) == 0) {
            return &variables[i];
        }
    }
    return NULL;
}

/* At "%{": print the variable -> bytes of the format used up. */
static size_t print_variable(FILE **to, const char *at, const struct transfer_record *record)
{
    const char *end = strchr(at, '}');
    if (end == NULL) {
        fputs("%{", *to);
        return 2;
    }
    const char *name = at + 2;
    size_t bytes = (size_t)(end - name);
    const struct variable *variable = find(name, bytes);
    if (variable != NULL) {
        variable->print(*to, record);
    } else if (bytes == 6 && memcmp(name, "stderr", 6) == 0) {
        *to = stderr;
    } else if (bytes == 6 && memcmp(name, "stdout", 6) == 0) {
        *to = stdout;
    } else {
        fprintf(stderr, "aioduct: unknown -w variable: '%.*s'\n", (int)bytes, name);
    }
    return bytes + 3;
}

static char escape(char c)
{
    return (char)(c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : '\0');
}

void writeout(const char *format, const struct transfer_record *record)
{
    FILE *to = stdout;
    for (const char *at = format; *at != '\0';) {
        if (at[0] == '%' && at[1] == '{') {
            at += print_variable(&to, at, record);
        } else if (at[0] == '%' && at[1] == '%') {
            fputc('%', to);
            at += 2;
        } else if (at[0] == '\\' && escape(at[1]) != '\0') {
            fputc(escape(at[1]), to);
            at += 2;
        } else {
            fputc(*at++, to);
        }
    }
    fflush(stdout);
}
