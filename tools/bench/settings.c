/* SPDX-License-Identifier: MIT */
/* The command line of aioduct bench: its own options, and those it shares with transfers. */
#include "bench.h"
#include "exitcode.h"
#include "url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static struct bench_settings *of(struct parser *p)
{
    return (struct bench_settings *)(void *)p->options; /* its first member */
}

static int from_one(struct parser *p, const char *value, int max, int *out)
{
    return option_int(p, value, 1, max, out);
}

static int on_connections(struct parser *p, const char *value)
{
    return from_one(p, value, CONNECTIONS_MAX, &of(p)->connections);
}

static int on_streams(struct parser *p, const char *value)
{
    return from_one(p, value, STREAMS_MAX, &of(p)->streams);
}

static int on_rounds(struct parser *p, const char *value)
{
    return from_one(p, value, ROUNDS_MAX, &of(p)->rounds);
}

static int on_requests(struct parser *p, const char *value)
{
    int requests = 0;
    int code = from_one(p, value, REQUESTS_MAX, &requests);
    of(p)->requests = (uint64_t)requests;
    return code;
}

/* "10", "2.5", "10s", "500ms", "2m", "1h". */
static int time_of(struct parser *p, const char *value, int *out_ms)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"", 1}, {"s", 1}, {"ms", 0.001}, {"m", 60}, {"h", 3600}};
    char *end;
    double number = strtod(value, &end);
    for (size_t i = 0; value[0] >= '0' && value[0] <= '9' && i < sizeof units / sizeof units[0];
         i++) {
        double seconds = number * units[i].seconds;
        if (strcmp(end, units[i].unit) == 0 && seconds >= 0.001 && seconds <= DURATION_S_MAX) {
            *out_ms = (int)(seconds * 1000);
            return 0;
        }
    }
    return option_value_error(p, value, "a time of 1ms to 24h, such as 10, 2.5s, 500ms or 2m");
}

static int on_duration(struct parser *p, const char *value)
{
    return time_of(p, value, &of(p)->duration_ms);
}

static int on_warm_up(struct parser *p, const char *value)
{
    return time_of(p, value, &of(p)->warm_up_ms);
}

static int on_rate(struct parser *p, const char *value)
{
    char *end;
    errno = 0;
    double rate = strtod(value, &end);
    if (end == value || *end != '\0' || errno != 0 || !(rate >= 0.001 && rate <= RATE_MAX)) {
        return option_value_error(p, value, "requests a second, from 0.001 to 10000000");
    }
    of(p)->rate = rate;
    return 0;
}

/* ---- the tables ---- */

#define AT(member) offsetof(struct bench_settings, member)
#define FLAG(letter, name, member, help)                              \
    {                                                                 \
        NULL, letter, name, OPTION_FLAG, AT(member), NULL, NULL, help \
    }
#define CALL(letter, name, call, value, help)                 \
    {                                                         \
        NULL, letter, name, OPTION_CALL, 0, call, value, help \
    }

static const struct option_entry entries[] = {
    CALL('c', "connections", on_connections, "NUMBER", "open at once, at most; 10"),
    CALL('m', "streams", on_streams, "NUMBER", "requests at once on a connection, with HTTP/2; 1"),
    CALL('n', "requests", on_requests, "NUMBER", "of each runtime; as many as the time allows"),
    CALL('z', "duration", on_duration, "TIME", "of each runtime; 10 s, without -n"),
    CALL(0, "warm-up", on_warm_up, "TIME", "of each turn, before it and not counted; none"),
    CALL('R', "rate", on_rate, "NUMBER",
         "requests a second, whether or not others are answered; latency counts from when each was "
         "due"),
    {NULL, 0, "runtime", OPTION_TEXT, AT(request.runtime), NULL, "NAME[,NAME]...",
     "event runtimes to compare, taking turns"},
    CALL(0, "rounds", on_rounds, "NUMBER", "turns of each runtime, where several are compared; 5"),
    FLAG(0, "json", json, "the result for programs"),
    {NULL, 0, "svg", OPTION_TEXT, AT(svg), NULL, "FILE", "draw latency by percentile"},
    FLAG(0, "yes", yes, "the target may be another machine, one that you may load"),
    FLAG('h', "help", show_help, "print this"),
    {NULL, 0, NULL, OPTION_FLAG, 0, NULL, NULL, NULL},
};

static const char *const shared[] = {
    "request",     "header",
    "data",        "data-ascii",
    "data-binary", "data-raw",
    "head",        "user",
    "user-agent",  "referer",
    "fail",        "silent",
    "show-error",  "abstract-unix-socket",
    "connect-to",  "http1.1",
    "http2",       "http2-prior-knowledge",
    "interface",   "ipv4",
    "ipv6",        "resolve",
    "unix-socket", "connect-timeout",
    "max-time",    "cacert",
    "cert",        "insecure",
    "key",         "pass",
    NULL,
};

static const struct option_absence absent[] = {{"--connector", "bench uses no connectors"},
                                               {NULL, NULL}};

static const struct option_set set = {
    .own = entries, .shared = shared, .absent = absent, .help = "aioduct bench --help"};

void bench_help(void)
{
    puts("usage: aioduct bench [options] URL\n\n"
         "Sends requests as fast as they are answered, or at a rate, and says how long answers "
         "took.\n"
         "A target that is not this machine (127.0.0.0/8, ::1, a unix-domain socket) is refused "
         "without --yes.\n");
    for (const struct option_entry *e = entries; e->name != NULL; e++) {
        option_help_line(e, e->letter);
    }
    puts("\nas in aioduct --help:");
    for (const char *const *name = shared; *name != NULL; name++) {
        const struct option_entry *e = option_find(&set, 0, *name);
        option_help_line(e, option_find(&set, e->letter, "") == e ? e->letter : 0);
    }
}

/* ---- what goes with what ---- */

static int refuse(const char *what)
{
    fprintf(stderr, "aioduct: bench: %s\naioduct: try 'aioduct bench --help'\n", what);
    return EXIT_USAGE;
}

static int split_runtimes(struct bench_settings *s)
{
    if (s->request.runtime == NULL) {
        s->runtime_count = 1; /* the one that the environment or the configuration says */
        return 0;
    }
    s->runtime_words = strdup(s->request.runtime);
    if (s->runtime_words == NULL) {
        return EXIT_MEMORY;
    }
    for (char *word = s->runtime_words, *next; word != NULL; word = next) {
        next = strchr(word, ',');
        if (next != NULL) {
            *next++ = '\0';
        }
        word += strspn(word, " ");
        word[strcspn(word, " ")] = '\0';
        if (word[0] == '\0' || s->runtime_count == RUNTIMES_MAX) {
            return refuse("--runtime takes one to eight names, commas between");
        }
        s->runtimes[s->runtime_count++] = word;
    }
    return 0;
}

static int check(struct bench_settings *s)
{
    const struct options *o = &s->request;
    bool clear = strncasecmp(s->url, "https:", 6) != 0;
    if (o->head_only && o->has_data) {
        return refuse("-I cannot go with -d: a HEAD request has no body");
    }
    if (s->streams > 1 && (o->version == AIODUCT_HTTP_1_1 ||
                           (clear && o->version != AIODUCT_HTTP_2_PRIOR_KNOWLEDGE))) {
        return refuse("-m needs HTTP/2: https, or --http2-prior-knowledge");
    }
    if ((int64_t)s->connections * s->streams > LANES_MAX) {
        return refuse("-c times -m is more than 100000 requests at once");
    }
    return 0;
}

static void set_defaults(struct bench_settings *s)
{
    struct options *o = &s->request;
    s->connections = s->connections > 0 ? s->connections : CONNECTIONS_DEFAULT;
    if (s->duration_ms == 0 && s->requests == 0) {
        s->duration_ms = DURATION_MS_DEFAULT;
    }
    o->max_time_ms = o->max_time_ms > 0 ? o->max_time_ms : REQUEST_TIMEOUT_MS_DEFAULT;
    if (s->streams > 1 && o->version == AIODUCT_HTTP_AUTO) {
        o->version = AIODUCT_HTTP_2; /* else a server without it makes them wait in a queue */
    }
    s->streams = s->streams > 0 ? s->streams : 1;
    int rounds = s->rounds > 0 ? s->rounds : s->runtime_count > 1 ? ROUNDS_DEFAULT : 1;
    bool few = s->requests > 0 && s->requests < (uint64_t)rounds;
    s->rounds = few ? (int)s->requests : rounds;
}

int bench_settings_parse(struct bench_settings *s, int argc, char **argv)
{
    *s = (struct bench_settings){0};
    int code = options_parse_set(argc, argv, &set, &s->request);
    if (code != 0 || s->show_help) {
        return code;
    }
    if (s->request.urls.count != 1) {
        return refuse(s->request.urls.count == 0 ? "no URL given" : "one URL at a time");
    }
    s->url = url_complete(s->request.urls.items[0], NULL);
    if (s->url == NULL) {
        return EXIT_MEMORY;
    }
    code = split_runtimes(s);
    code = code != 0 ? code : check(s);
    if (code == 0) {
        set_defaults(s);
    }
    return code;
}

void bench_settings_fini(struct bench_settings *s)
{
    options_fini(&s->request);
    free(s->url);
    free(s->shown_url);
    free(s->runtime_words);
    free(s->pin_connect_to);
    free(s->pin_resolve);
}
