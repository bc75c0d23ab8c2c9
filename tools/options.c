/* SPDX-License-Identifier: MIT */
#include "options.h"

#include "data.h"
#include "exitcode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    struct options *options;
    const char *option; /* as the user wrote it, for messages */
    char letter[3];     /* "-x": the option, where it is one letter of several */
};

static int usage_error(const struct parser *p, const char *what)
{
    fprintf(stderr, "aioduct: option %s: %s\naioduct: try 'aioduct --help'\n", p->option, what);
    return EXIT_USAGE;
}

int strings_add(struct strings *list, const char *item)
{
    const char **grown = realloc(list->items, (list->count + 2) * sizeof *grown);
    if (grown == NULL) {
        return -ENOMEM;
    }
    grown[list->count++] = item;
    grown[list->count] = NULL;
    list->items = grown;
    return 0;
}

/* Decimal seconds with an optional fraction, as curl takes them. */
static int parse_seconds(const struct parser *p, const char *text, int *out_ms)
{
    char *end;
    errno = 0;
    double seconds = strtod(text, &end);
    if (end == text || *end != '\0' || errno != 0 || !(seconds >= 0) || seconds > 2000000) {
        return usage_error(p, "expected seconds, such as 10 or 2.5");
    }
    *out_ms = (int)(seconds * 1000);
    if (seconds > 0 && *out_ms == 0) {
        *out_ms = 1;
    }
    return 0;
}

/* --cert FILE[:PASSWORD]; a colon in the file's name is written \: */
static int parse_cert(struct parser *p, const char *text)
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
    p->options->cert = copy;
    return 0;
}

static int add_data(struct parser *p, const char *text, bool binary)
{
    int code =
        data_append(&p->options->data, &p->options->data_bytes, p->options->has_data, text, binary);
    if (code != 0) {
        return code;
    }
    p->options->has_data = true;
    return 0;
}

static int set_user(struct parser *p, const char *text)
{
    free(p->options->user);
    p->options->user = strdup(text);
    return p->options->user == NULL ? EXIT_MEMORY : 0;
}

/* ---- the table ---- */

enum kind { FLAG, TEXT, LIST, CALL };

typedef int (*call_fn)(struct parser *p, const char *value);

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
    return value[0] == '@' ? data_append_text(&p->options->data, &p->options->data_bytes,
                                              p->options->has_data, value) ||
                                 !(p->options->has_data = true)
                           : add_data(p, value, false);
}
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
        return usage_error(p, "expected a file name");
    }
    return strings_add(&p->options->outputs, value) < 0 ? EXIT_MEMORY : 0;
}
static int on_output_name(struct parser *p, const char *value)
{
    (void)value;
    return strings_add(&p->options->outputs, "") < 0 ? EXIT_MEMORY : 0;
}
static int on_max_time(struct parser *p, const char *value)
{
    return parse_seconds(p, value, &p->options->max_time_ms);
}
static int on_connect_timeout(struct parser *p, const char *value)
{
    return parse_seconds(p, value, &p->options->connect_timeout_ms);
}
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
static int on_pass(struct parser *p, const char *value)
{
    free(p->options->cert_password);
    p->options->cert_password = strdup(value);
    return p->options->cert_password == NULL ? EXIT_MEMORY : 0;
}

struct option_entry {
    char letter; /* 0: long only */
    const char *name;
    enum kind kind;
    size_t offset; /* FLAG, TEXT, LIST: member of struct options */
    call_fn call;
    const char *value; /* name of the value in the help; NULL: takes none */
    const char *help;
};

#define AT(member) offsetof(struct options, member)

static const struct option_entry entries[] = {
    {'A', "user-agent", TEXT, AT(user_agent), NULL, "NAME", "User-Agent to send; empty: none"},
    {0, "cacert", TEXT, AT(cacert), NULL, "FILE",
     "trust these certificates (PEM) instead of the system's"},
    {'E', "cert", CALL, 0, parse_cert, "FILE[:PASSWORD]", "client certificate (PEM)"},
    {0, "connect-timeout", CALL, 0, on_connect_timeout, "SECONDS",
     "limit for name, TCP and TLS together"},
    {0, "connect-to", LIST, AT(connect_to), NULL, "HOST1:PORT1:HOST2:PORT2",
     "dial HOST2:PORT2 for HOST1:PORT1"},
    {'d', "data", CALL, 0, on_data, "DATA", "POST DATA; @FILE reads it, without line ends"},
    {0, "data-ascii", CALL, 0, on_data, "DATA", "the same"},
    {0, "data-binary", CALL, 0, on_data_binary, "DATA", "POST DATA; @FILE reads it as it is"},
    {0, "data-raw", CALL, 0, on_data_raw, "DATA", "POST DATA; @ has no meaning"},
    {'D', "dump-header", TEXT, AT(dump_header), NULL, "FILE",
     "write response heads to FILE (-: standard output)"},
    {'f', "fail", FLAG, AT(fail), NULL, NULL, "exit 22 without the body for status 400 and above"},
    {'I', "head", FLAG, AT(head_only), NULL, NULL, "send HEAD and print the response head"},
    {'H', "header", LIST, AT(headers), NULL, "LINE",
     "'Name: value' adds, 'Name:' removes, 'Name;' sends it empty"},
    {'h', "help", FLAG, AT(show_help), NULL, NULL, "print this"},
    {0, "http1.1", FLAG, AT(http1_1), NULL, NULL, "HTTP/1.1 only"},
    {'i', "include", FLAG, AT(include_head), NULL, NULL, "print response heads before the body"},
    {'k', "insecure", FLAG, AT(insecure), NULL, NULL, "do not verify the server's certificate"},
    {0, "interface", TEXT, AT(interface), NULL, "NAME",
     "bind to this network interface or numeric address"},
    {'4', "ipv4", CALL, 0, on_ipv4, NULL, "IPv4 only"},
    {'6', "ipv6", CALL, 0, on_ipv6, NULL, "IPv6 only"},
    {0, "key", TEXT, AT(key), NULL, "FILE", "private key of --cert (PEM)"},
    {'m', "max-time", CALL, 0, on_max_time, "SECONDS", "limit for a whole transfer"},
    {'o', "output", CALL, 0, on_output, "FILE", "write the body to FILE (-: standard output)"},
    {0, "pass", CALL, 0, on_pass, "PASSWORD", "of the private key"},
    {'e', "referer", TEXT, AT(referer), NULL, "URL", "Referer to send"},
    {'O', "remote-name", CALL, 0, on_output_name, NULL,
     "write the body to a file named as in the URL"},
    {'X', "request", TEXT, AT(method), NULL, "METHOD", "method to send"},
    {0, "resolve", LIST, AT(resolve), NULL, "HOST:PORT:ADDRESS[,ADDRESS]",
     "addresses to use for HOST:PORT"},
    {0, "runtime", TEXT, AT(runtime), NULL, "NAME",
     "event runtime: uring, libev, libevent, epoll, a list, auto or a path"},
    {'S', "show-error", FLAG, AT(show_error), NULL, NULL, "with -s: print errors all the same"},
    {0, "show-secrets", FLAG, AT(show_secrets), NULL, NULL,
     "with -v: print credentials and cookies"},
    {'s', "silent", FLAG, AT(silent), NULL, NULL, "print no errors"},
    {'T', "upload-file", LIST, AT(uploads), NULL, "FILE",
     "PUT FILE (-: standard input); one for each URL"},
    {0, "url", LIST, AT(urls), NULL, "URL", "a URL, as without --url"},
    {'u', "user", CALL, 0, set_user, "USER[:PASSWORD]", "Basic authentication"},
    {'v', "verbose", FLAG, AT(verbose), NULL, NULL, "show heads and connection on standard error"},
    {'V', "version", FLAG, AT(show_version), NULL, NULL, "print versions"},
    {'w', "write-out", CALL, 0, on_write_out, "FORMAT",
     "print FORMAT, or what @FILE holds, after each transfer; %{http_code} and others"},
};

static int store(struct parser *p, const struct option_entry *entry, const char *value)
{
    char *at = (char *)p->options + entry->offset;
    switch (entry->kind) {
    case FLAG:
        *(bool *)(void *)at = true;
        return 0;
    case TEXT:
        *(const char **)(void *)at = value;
        return 0;
    case LIST:
        return strings_add((struct strings *)(void *)at, value) < 0 ? EXIT_MEMORY : 0;
    case CALL:
        break;
    }
    return entry->call(p, value);
}

static const struct option_entry *find_long(const char *name)
{
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        if (strcmp(entries[i].name, name) == 0) {
            return &entries[i];
        }
    }
    return NULL;
}

static const struct option_entry *find_letter(char letter)
{
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        if (entries[i].letter == letter) {
            return &entries[i];
        }
    }
    return NULL;
}

/* "-sSo file", "-ofile": letters until one takes a value. *@i moves over a value in the next
 * argument. */
static int parse_letters(struct parser *p, int argc, char **argv, int *i)
{
    p->letter[0] = '-';
    p->option = p->letter;
    for (const char *c = argv[*i] + 1; *c != '\0'; c++) {
        const struct option_entry *entry = find_letter(*c);
        p->letter[1] = *c;
        if (entry == NULL) {
            return usage_error(p, "is unknown");
        }
        const char *value = NULL;
        if (entry->value != NULL) {
            value = c[1] != '\0' ? c + 1 : *i + 1 < argc ? argv[++*i] : NULL;
            if (value == NULL) {
                return usage_error(p, "requires a value");
            }
        }
        int code = store(p, entry, value);
        if (code != 0 || value != NULL) {
            return code;
        }
    }
    return 0;
}

static int parse_long(struct parser *p, int argc, char **argv, int *i)
{
    p->option = argv[*i];
    const struct option_entry *entry = find_long(argv[*i] + 2);
    if (entry == NULL) {
        return usage_error(p, "is unknown");
    }
    const char *value = NULL;
    if (entry->value != NULL) {
        if (*i + 1 >= argc) {
            return usage_error(p, "requires a value");
        }
        value = argv[++*i];
    }
    return store(p, entry, value);
}

static int check(const struct options *o)
{
    if (o->show_version || o->show_help) {
        return 0;
    }
    if (o->urls.count == 0) {
        fprintf(stderr, "aioduct: no URL given\naioduct: try 'aioduct --help'\n");
        return EXIT_USAGE;
    }
    if (o->head_only && (o->has_data || o->uploads.count > 0)) {
        fprintf(stderr, "aioduct: -I cannot go with -d or -T: a HEAD request has no body\n");
        return EXIT_USAGE;
    }
    if (o->has_data && o->uploads.count > 0) {
        fprintf(stderr, "aioduct: -d and -T both name a body: choose one\n");
        return EXIT_USAGE;
    }
    return 0;
}

int options_parse(int argc, char **argv, struct options *out)
{
    struct parser p = {.options = out};
    bool only_urls = false;
    *out = (struct options){0};
    for (int i = 1; i < argc; i++) {
        int code;
        if (!only_urls && strcmp(argv[i], "--") == 0) {
            only_urls = true;
            continue;
        }
        if (only_urls || argv[i][0] != '-' || argv[i][1] == '\0') {
            code = strings_add(&out->urls, argv[i]) < 0 ? EXIT_MEMORY : 0;
        } else if (argv[i][1] == '-') {
            code = parse_long(&p, argc, argv, &i);
        } else {
            code = parse_letters(&p, argc, argv, &i);
        }
        if (code != 0) {
            return code;
        }
    }
    return check(out);
}

void options_fini(struct options *o)
{
    free(o->urls.items);
    free(o->outputs.items);
    free(o->uploads.items);
    free(o->headers.items);
    free(o->resolve.items);
    free(o->connect_to.items);
    free(o->data);
    free(o->user);
    free(o->write_out_file);
    free(o->cert_password);
    free((char *)o->cert);
}

void options_help(void)
{
    puts("usage: aioduct [options] URL...      transfer\n"
         "       aioduct plugins [--json] [--runtime NAME]\n"
         "                                     which event runtimes there are, and which one is "
         "chosen\n");
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        char left[64];
        snprintf(left, sizeof left, "%s%c%s--%s %s", entries[i].letter ? "-" : " ",
                 entries[i].letter ? entries[i].letter : ' ', entries[i].letter ? ", " : "  ",
                 entries[i].name, entries[i].value != NULL ? entries[i].value : "");
        printf("  %-40s %s\n", left, entries[i].help);
    }
}
