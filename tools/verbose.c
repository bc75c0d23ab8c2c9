/* SPDX-License-Identifier: MIT */
#include "verbose.h"

#include "exitcode.h"
#include "head.h"
#include "options.h"
#include "output.h"

#include <aioduct/aioduct.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int verbose_open(struct verbose *v, const struct options *o)
{
    *v = (struct verbose){.trace = o->trace != NULL,
                          .ascii = o->trace_ascii,
                          .time = o->trace_time,
                          .secrets = o->show_secrets};
    if (o->trace == NULL) {
        v->to = o->verbose ? stderr : NULL;
    } else if (strcmp(o->trace, "-") == 0) {
        v->to = stdout;
    } else if (strcmp(o->trace, "%") == 0) {
        v->to = stderr;
    } else {
        v->to = fopen(o->trace, "we");
        if (v->to == NULL) {
            fprintf(stderr, "aioduct: (%d) cannot write %s: %s\n", EXIT_WRITE, o->trace,
                    strerror(errno));
            return EXIT_WRITE;
        }
    }
    return 0;
}

void verbose_close(struct verbose *v)
{
    if (v->to != NULL && v->to != stdout && v->to != stderr) {
        fclose(v->to);
    }
    v->to = NULL;
}

static void print_time(const struct verbose *v)
{
    struct timespec now;
    struct tm day;
    if (!v->time) {
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &day);
    fprintf(v->to, "%02d:%02d:%02d.%06ld ", day.tm_hour, day.tm_min, day.tm_sec,
            now.tv_nsec / 1000);
}

/* ---- -v: a line each ---- */

static void print_lines(const struct verbose *v, const char *mark, const char *text, size_t bytes)
{
    while (bytes > 0) {
        const char *end = memchr(text, '\n', bytes);
        size_t line = end == NULL ? bytes : (size_t)(end - text);
        size_t step = end == NULL ? bytes : line + 1;
        if (line > 0 && text[line - 1] == '\r') {
            line--;
        }
        print_time(v);
        fputs(mark, v->to);
        print_escaped(v->to, text, line);
        fputc('\n', v->to);
        text += step;
        bytes -= step;
    }
}

/* ---- --trace: a dump ---- */

static void dump(const struct verbose *v, const char *text, size_t bytes)
{
    const size_t width = v->ascii ? 64 : 16;
    for (size_t i = 0, used; i < bytes; i += used) {
        size_t shown = bytes - i < width ? bytes - i : width;
        used = shown; /* more where the ASCII form leaves out the CR LF that ends its line */
        fprintf(v->to, "%04zx: ", i);
        for (size_t k = 0; !v->ascii && k < width; k++) {
            if (k < shown) {
                fprintf(v->to, "%02x ", (unsigned char)text[i + k]);
            } else {
                fputs("   ", v->to);
            }
        }
        for (size_t k = 0; k < shown; k++) {
            if (v->ascii && i + k + 1 < bytes && text[i + k] == '\r' && text[i + k + 1] == '\n') {
                used = k + 2;
                break;
            }
            unsigned char c = (unsigned char)text[i + k];
            fputc(c >= 0x20 && c < 0x7f ? c : '.', v->to);
        }
        fputc('\n', v->to);
    }
}

static void dump_titled(const struct verbose *v, enum verbose_kind kind, const char *text,
                        size_t bytes)
{
    static const char *const titles[] = {
        [VERBOSE_HEAD_OUT] = "=> Send header",
        [VERBOSE_HEAD_IN] = "<= Recv header",
        [VERBOSE_BODY_OUT] = "=> Send data",
        [VERBOSE_BODY_IN] = "<= Recv data",
    };
    print_time(v);
    fprintf(v->to, "%s, %zu bytes (0x%zx)\n", titles[kind], bytes, bytes);
    dump(v, text, bytes);
}

/* A response head is told line by line, as curl has it. */
static void dump_lines(const struct verbose *v, const char *text, size_t bytes)
{
    while (bytes > 0) {
        const char *end = memchr(text, '\n', bytes);
        size_t line = end == NULL ? bytes : (size_t)(end - text) + 1;
        dump_titled(v, VERBOSE_HEAD_IN, text, line);
        text += line;
        bytes -= line;
    }
}

/* ---- both ---- */

static void put(const struct verbose *v, enum verbose_kind kind, const char *text, size_t bytes)
{
    if (v->trace && kind == VERBOSE_HEAD_IN) {
        dump_lines(v, text, bytes);
    } else if (v->trace) {
        dump_titled(v, kind, text, bytes);
    } else {
        print_lines(v, kind == VERBOSE_HEAD_IN ? "< " : "> ", text, bytes);
    }
}

void verbose_bytes(const struct verbose *v, enum verbose_kind kind, const char *bytes, size_t count)
{
    bool is_head = kind == VERBOSE_HEAD_IN || kind == VERBOSE_HEAD_OUT;
    if (v->to == NULL || count == 0 || (!is_head && !v->trace)) {
        return;
    }
    if (!is_head || v->secrets) {
        put(v, kind, bytes, count);
        return;
    }
    char *masked = head_redacted(bytes, count);
    if (masked != NULL) {
        put(v, kind, masked, strlen(masked));
    }
    free(masked);
}

void verbose_request(const struct verbose *v, const char *protocol, const char *head, size_t bytes)
{
    if (v->to == NULL || strcmp(protocol, "h2") != 0) {
        verbose_bytes(v, VERBOSE_HEAD_OUT, head, bytes);
        return;
    }
    char *shown = v->secrets ? strndup(head, bytes) : head_redacted(head, bytes);
    for (char *line = shown; line != NULL && *line != '\0' && *line != '\r';) {
        int count = (int)strcspn(line, "\r\n");
        verbose_info(v, "[HTTP/2] [%.*s]", count, line);
        line += count;
        line += strspn(line, "\r\n");
    }
    char *text = shown == NULL ? NULL : head_of_h2(shown, strlen(shown));
    if (text != NULL) {
        put(v, VERBOSE_HEAD_OUT, text, strlen(text));
    }
    free(text);
    free(shown);
}

void verbose_info(const struct verbose *v, const char *format, ...)
{
    char text[1024];
    va_list args;
    if (v->to == NULL) {
        return;
    }
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    print_time(v);
    fputs(v->trace ? "== Info: " : "* ", v->to);
    print_escaped(v->to, text, strlen(text));
    fputc('\n', v->to);
}

void verbose_event(const struct verbose *v, const struct aioduct_event *e)
{
    switch (e->kind) {
    case AIODUCT_EVENT_CONNECT:
        verbose_info(v, "  Trying %s port %d...", e->address, e->address_port);
        break;
    case AIODUCT_EVENT_CONNECT_FAILED:
        verbose_info(v, "connect to %s port %d failed: %s", e->address, e->address_port,
                     aioduct_error_text(e->code));
        break;
    case AIODUCT_EVENT_CONNECTED:
        verbose_info(v, "Connected to %s (%s) port %d", e->host, e->address, e->address_port);
        break;
    case AIODUCT_EVENT_SECURED:
        verbose_info(v, "%s, %s%s", e->tls_version, e->tls_cipher,
                     e->tls_resumed ? ", resumed" : "");
        break;
    case AIODUCT_EVENT_OPENED:
        verbose_info(v, "Connection #%" PRIu64 " speaks %s", e->connection, e->protocol);
        break;
    case AIODUCT_EVENT_PICKED:
        if (e->reused) {
            verbose_info(v, "Reusing connection #%" PRIu64 " to %s", e->connection, e->host);
        }
        break;
    case AIODUCT_EVENT_REPLAY:
        verbose_info(v, "Sending again: %s", e->error->message);
        break;
    case AIODUCT_EVENT_GOAWAY:
        verbose_info(v, "Connection #%" PRIu64 " takes no more: code %d %s", e->connection, e->code,
                     e->text);
        break;
    case AIODUCT_EVENT_CLOSED:
        verbose_info(v, "Closing connection #%" PRIu64 " (%s)", e->connection,
                     aioduct_close_reason_name(e->reason));
        break;
    default:
        break;
    }
}
