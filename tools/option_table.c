/* SPDX-License-Identifier: MIT */
/* Every option: curl's names and meaning, and a few of our own. The help is made of this table. */
#include "data.h"
#include "exitcode.h"
#include "options.h"

#include <aioduct/request.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- numbers ---- */

/* Decimal seconds with an optional fraction, as curl takes them. */
int option_seconds(const struct parser *p, const char *text, int *out_ms)
{
    char *end;
    errno = 0;
    double seconds = strtod(text, &end);
    if (end == text || *end != '\0' || errno != 0 || !(seconds >= 0) || seconds > 2000000) {
        return option_value_error(p, text, "seconds, such as 10 or 2.5");
    }
    *out_ms = (int)(seconds * 1000);
    if (seconds > 0 && *out_ms == 0) {
        *out_ms = 1;
    }
    return 0;
}

int option_int(const struct parser *p, const char *text, int min, int max, int *out)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < min ||
        value > max) {
        char what[64];
        snprintf(what, sizeof what, "a number from %d to %d", min, max);
        return option_value_error(p, text, what);
    }
    *out = (int)value;
    return 0;
}

/* Bytes with an optional suffix K, M, G, T or P, of either case; powers of 1024; "1.5M" too. */
static int parse_bytes(const struct parser *p, const char *text, uint64_t *out)
{
    static const char suffixes[] = "KMGTP";
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    bool number = (text[0] >= '0' && text[0] <= '9') || text[0] == '.';
    if (number && *end != '\0' && *end != 'b' && *end != 'B') {
        const char *suffix = strchr(suffixes, *end & ~0x20);
        number = suffix != NULL && end[1] == '\0';
        for (const char *s = suffixes; number && s <= suffix; s++) {
            value *= 1024;
        }
    } else if (*end != '\0') {
        number = number && end[1] == '\0';
    }
    if (!number || errno != 0 || !(value >= 0 && value < 9e18)) {
        return option_value_error(p, text, "bytes, such as 1000, 64K or 1.5M");
    }
    *out = (uint64_t)value;
    return 0;
}

/* ---- bodies ---- */

static int add_data(struct parser *p, const char *text, bool binary)
{
    struct options *o = p->options;
    int code = data_append(&o->data, &o->data_bytes, o->has_data, text, binary);
    o->has_data = o->has_data || code == 0;
    return code;
}

static int on_data(struct parser *p, const char *value)
{
    return add_data(p, value, false);
}

static int on_data_binary(struct parser *p, const char *value)
{
    return add_data(p, value, true);
}

static int on_data_raw(struct parser *p, const char *value)
{
    struct options *o = p->options;
    int code = data_append_text(&o->data, &o->data_bytes, o->has_data, value);
    o->has_data = o->has_data || code == 0;
    return code;
}

/* ---- headers ---- */

static char *next_line(char *text)
{
    char *end = strchr(text, '\n');
    if (end != NULL) {
        *end++ = '\0';
    }
    text[strcspn(text, "\r")] = '\0';
    return end;
}

/* -H LINE, or @FILE with lines. */
static int on_header(struct parser *p, const char *value)
{
    struct options *o = p->options;
    char *text = NULL;
    size_t bytes = 0;
    if (value[0] != '@') {
        return strings_add(&o->headers, value) < 0 ? EXIT_MEMORY : 0;
    }
    int code = data_append(&text, &bytes, false, value, true);
    if (code == 0 && strings_add(&o->header_files, text) < 0) {
        code = EXIT_MEMORY;
    }
    if (code != 0) {
        free(text);
        return code;
    }
    for (char *line = text, *next; code == 0 && line != NULL; line = next) {
        next = next_line(line);
        if (line[0] != '\0' && strings_add(&o->headers, line) < 0) {
            code = EXIT_MEMORY;
        }
    }
    return code;
}

static int set_user(struct parser *p, const char *text)
{
    free(p->options->user);
    p->options->user = strdup(text);
    return p->options->user == NULL ? EXIT_MEMORY : 0;
}

/* ---- output ---- */

/* -w FORMAT, or @FILE that holds it. */
static int on_write_out(struct parser *p, const char *value)
{
    size_t bytes = 0;
    free(p->options->write_out_file);
    p->options->write_out_file = NULL;
    p->options->write_out = value;
    if (value[0] != '@') {
        return 0;
    }
    int code = data_append(&p->options->write_out_file, &bytes, false, value, false);
    p->options->write_out = p->options->write_out_file;
    return code;
}

static int on_output(struct parser *p, const char *value)
{
    if (value[0] == '\0') { /* the list's mark of -O */
        return option_error(p, "expected a file name");
    }
    return strings_add(&p->options->outputs, value) < 0 ? EXIT_MEMORY : 0;
}

static int on_output_name(struct parser *p, const char *value)
{
    (void)value;
    return strings_add(&p->options->outputs, "") < 0 ? EXIT_MEMORY : 0;
}

static int on_trace(struct parser *p, const char *value)
{
    p->options->trace = value;
    p->options->trace_ascii = false;
    return 0;
}

static int on_trace_ascii(struct parser *p, const char *value)
{
    p->options->trace = value;
    p->options->trace_ascii = true;
    return 0;
}

/* ---- limits ---- */

static int on_max_time(struct parser *p, const char *value)
{
    return option_seconds(p, value, &p->options->max_time_ms);
}

static int on_connect_timeout(struct parser *p, const char *value)
{
    return option_seconds(p, value, &p->options->connect_timeout_ms);
}

static int on_expect_timeout(struct parser *p, const char *value)
{
    int code = option_seconds(p, value, &p->options->expect_timeout_ms);
    if (code == 0 && p->options->expect_timeout_ms == 0) {
        p->options->expect_timeout_ms = 1; /* at once */
    }
    return code;
}

static int on_keepalive_time(struct parser *p, const char *value)
{
    return option_int(p, value, 0, 1000000, &p->options->keepalive_s);
}

static int on_limit_rate(struct parser *p, const char *value)
{
    return parse_bytes(p, value, &p->options->rate);
}

static int on_max_filesize(struct parser *p, const char *value)
{
    return parse_bytes(p, value, &p->options->filesize_max);
}

/* Either of these two sets the other's default, as curl has it. */
static int on_speed_time(struct parser *p, const char *value)
{
    int code = option_int(p, value, 0, 1000000, &p->options->speed_time_s);
    if (code == 0 && p->options->speed_limit == 0) {
        p->options->speed_limit = 1;
    }
    return code;
}

static int on_speed_limit(struct parser *p, const char *value)
{
    int limit = 0;
    int code = option_int(p, value, 0, 2147483647, &limit);
    p->options->speed_limit = (uint64_t)limit;
    if (code == 0 && p->options->speed_time_s == 0) {
        p->options->speed_time_s = 30;
    }
    return code;
}

static int on_parallel_max(struct parser *p, const char *value)
{
    return option_int(p, value, 0, 300, &p->options->parallel_max);
}

/* ---- the way ---- */

static int on_ipv4(struct parser *p, const char *value)
{
    (void)value;
    p->options->family = 4;
    return 0;
}

static int on_ipv6(struct parser *p, const char *value)
{
    (void)value;
    p->options->family = 6;
    return 0;
}

static int on_http1_1(struct parser *p, const char *value)
{
    (void)value;
    p->options->version = AIODUCT_HTTP_1_1;
    return 0;
}

/* HTTP/2 by ALPN, with HTTP/1.1 for servers that do not have it; clear text stays HTTP/1.1. */
static int on_http2(struct parser *p, const char *value)
{
    (void)value;
    p->options->version = AIODUCT_HTTP_AUTO;
    return 0;
}

static int on_http2_prior_knowledge(struct parser *p, const char *value)
{
    (void)value;
    p->options->version = AIODUCT_HTTP_2_PRIOR_KNOWLEDGE;
    return 0;
}

/* "[+]HOST:PORT:ADDRESS", or "-HOST:PORT", which takes back what was said before. */
static int on_resolve(struct parser *p, const char *value)
{
    struct strings *list = &p->options->resolve;
    if (value[0] != '-') {
        return strings_add(list, value + (value[0] == '+')) < 0 ? EXIT_MEMORY : 0;
    }
    size_t kept = 0, bytes = strlen(value + 1);
    for (size_t i = 0; i < list->count; i++) {
        const char *rule = list->items[i];
        if (strncasecmp(rule, value + 1, bytes) != 0 || rule[bytes] != ':') {
            list->items[kept++] = rule;
        }
    }
    list->count = kept;
    if (list->items != NULL) {
        list->items[kept] = NULL;
    }
    return 0;
}

/* ---- TLS ---- */

/* --cert FILE[:PASSWORD]; a colon in the file's name is written \: */
static int on_cert(struct parser *p, const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL) {
        return EXIT_MEMORY;
    }
    char *to = copy;
    for (const char *from = text; *from != '\0'; from++) {
        if (*from == '\\' && (from[1] == ':' || from[1] == '\\')) {
            *to++ = *++from;
        } else if (*from == ':') {
            free(p->options->cert_password);
            p->options->cert_password = strdup(from + 1);
            break;
        } else {
            *to++ = *from;
        }
    }
    *to = '\0';
    free((char *)p->options->cert);
    p->options->cert = copy;
    return 0;
}

static int on_pass(struct parser *p, const char *value)
{
    free(p->options->cert_password);
    p->options->cert_password = strdup(value);
    return p->options->cert_password == NULL ? EXIT_MEMORY : 0;
}

/* ---- the table ---- */

#define AT(member) offsetof(struct options, member)
#define FLAG(letter, name, member, help)                              \
    {                                                                 \
        NULL, letter, name, OPTION_FLAG, AT(member), NULL, NULL, help \
    }
#define TEXT(letter, name, member, value, help)                        \
    {                                                                  \
        NULL, letter, name, OPTION_TEXT, AT(member), NULL, value, help \
    }
#define LIST(letter, name, member, value, help)                        \
    {                                                                  \
        NULL, letter, name, OPTION_LIST, AT(member), NULL, value, help \
    }
#define CALL(letter, name, call, value, help)                 \
    {                                                         \
        NULL, letter, name, OPTION_CALL, 0, call, value, help \
    }
/* The heading of those that follow; no option has an empty name. */
#define GROUP(text)                                   \
    {                                                 \
        text, 0, "", OPTION_FLAG, 0, NULL, NULL, NULL \
    }

const struct option_entry option_entries[] = {
    GROUP("Request"),
    CALL('d', "data", on_data, "DATA", "POST DATA; @FILE reads it, without line ends"),
    CALL(0, "data-ascii", on_data, "DATA", "the same"),
    CALL(0, "data-binary", on_data_binary, "DATA", "POST DATA; @FILE reads it as it is"),
    CALL(0, "data-raw", on_data_raw, "DATA", "POST DATA; @ has no meaning"),
    FLAG('I', "head", head_only, "send HEAD and print the response head"),
    CALL('H', "header", on_header, "LINE",
         "'Name: value' adds, 'Name:' removes, 'Name;' is empty; @FILE has lines"),
    TEXT('e', "referer", referer, "URL", "Referer to send"),
    TEXT('X', "request", method, "METHOD", "method to send"),
    LIST('T', "upload-file", uploads, "FILE", "PUT FILE (-: standard input); one for each URL"),
    LIST(0, "url", urls, "URL", "a URL, as without --url"),
    CALL('u', "user", set_user, "USER[:PASSWORD]", "Basic authentication"),
    TEXT('A', "user-agent", user_agent, "NAME", "User-Agent to send; empty: none"),

    GROUP("Output"),
    TEXT('D', "dump-header", dump_header, "FILE", "write response heads to FILE (-: stdout)"),
    FLAG('f', "fail", fail, "exit 22 without the body for status 400 and above"),
    FLAG(0, "fail-with-body", fail_with_body, "exit 22 for status 400 and above, body kept"),
    FLAG('i', "include", include_head, "print response heads before the body"),
    CALL('o', "output", on_output, "FILE", "write the body to FILE (-: standard output)"),
    FLAG('#', "progress-bar", progress_bar, "show progress as a bar on standard error"),
    CALL('O', "remote-name", on_output_name, NULL, "write the body to a file named as in the URL"),
    FLAG('S', "show-error", show_error, "with -s: print errors all the same"),
    FLAG(0, "show-secrets", show_secrets, "with -v and --trace: print credentials and cookies"),
    FLAG('s', "silent", silent, "print no errors and no progress"),
    CALL(0, "trace", on_trace, "FILE",
         "write all that is sent and received (-: stdout, %: stderr)"),
    CALL(0, "trace-ascii", on_trace_ascii, "FILE", "the same without hexadecimal"),
    FLAG(0, "trace-time", trace_time, "put the time before lines of --trace and -v"),
    FLAG('v', "verbose", verbose, "show heads and connections on standard error"),
    CALL('w', "write-out", on_write_out, "FORMAT",
         "print FORMAT (@FILE holds it) after each transfer, with %{variables}"),

    GROUP("Connection"),
    TEXT(0, "abstract-unix-socket", abstract_socket, "NAME",
         "connect to this socket of the abstract namespace, whatever the host"),
    LIST(0, "connect-to", connect_to, "HOST1:PORT1:HOST2:PORT2",
         "dial HOST2:PORT2 for HOST1:PORT1"),
    TEXT(0, "connector", connector, "LIST",
         "plugins that make connections: names or paths, the outermost first; none"),
    CALL(0, "http1.1", on_http1_1, NULL, "HTTP/1.1 only"),
    CALL(0, "http2", on_http2, NULL, "HTTP/2 over TLS if the server has it, else 1.1: the default"),
    CALL(0, "http2-prior-knowledge", on_http2_prior_knowledge, NULL,
         "HTTP/2 only, on http:// without asking"),
    TEXT(0, "interface", interface, "NAME", "bind to this network interface or numeric address"),
    CALL('4', "ipv4", on_ipv4, NULL, "IPv4 only"),
    CALL('6', "ipv6", on_ipv6, NULL, "IPv6 only"),
    CALL(0, "keepalive-time", on_keepalive_time, "SECONDS", "TCP keepalive: idleness and interval"),
    FLAG(0, "no-keepalive", no_keepalive, "no TCP keepalive"),
    CALL(0, "resolve", on_resolve, "HOST:PORT:ADDRESS[,ADDRESS]",
         "addresses to use for HOST:PORT; the last rule counts"),
    TEXT(0, "runtime", runtime, "NAME",
         "event runtime: uring, libev, libevent, epoll, a list, auto or a path"),
    TEXT(0, "unix-socket", unix_socket, "PATH",
         "connect to this unix-domain socket, whatever the host"),

    GROUP("Limits"),
    CALL(0, "connect-timeout", on_connect_timeout, "SECONDS", "for name, TCP and TLS together"),
    CALL(0, "expect100-timeout", on_expect_timeout, "SECONDS", "how long a body waits for a 100"),
    CALL(0, "limit-rate", on_limit_rate, "BYTES", "a second, each way and transfer; K, M, G"),
    CALL(0, "max-filesize", on_max_filesize, "BYTES", "of a body; more is exit 63; K, M, G"),
    CALL('m', "max-time", on_max_time, "SECONDS", "for a whole transfer"),
    CALL('Y', "speed-limit", on_speed_limit, "BYTES", "a second; slower for -y seconds is exit 28"),
    CALL('y', "speed-time", on_speed_time, "SECONDS", "of -Y; 30"),

    GROUP("Many transfers"),
    FLAG(0, "fail-early", fail_early, "stop at the first transfer that fails"),
    FLAG('Z', "parallel", parallel, "all URLs at once"),
    FLAG(0, "parallel-immediate", parallel_immediate,
         "with -Z: do not wait for a connection that may be shared"),
    CALL(0, "parallel-max", on_parallel_max, "NUMBER", "of transfers at once with -Z; 50"),

    GROUP("TLS"),
    TEXT(0, "cacert", cacert, "FILE", "trust these certificates (PEM) instead of the system's"),
    CALL('E', "cert", on_cert, "FILE[:PASSWORD]", "client certificate (PEM)"),
    FLAG('k', "insecure", insecure, "do not verify the server's certificate"),
    TEXT(0, "key", key, "FILE", "private key of --cert (PEM)"),
    CALL(0, "pass", on_pass, "PASSWORD", "of the private key"),

    GROUP("The command"),
    FLAG('h', "help", show_help, "print this"),
    FLAG('V', "version", show_version, "print versions"),
    {NULL, 0, NULL, OPTION_FLAG, 0, NULL, NULL, NULL},
};
