/* SPDX-License-Identifier: MIT */
/* Checking a client's options (C117): every bad value is refused here, by name. */
#include "http/settings.h"

#include "base/error.h"
#include "base/mem.h"

#include <aioduct/request.h>
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#define WORKERS_MAX 1024         /* threads; far above any machine's use */
#define RESOLVER_THREADS_MAX 256 /* as above */
#define NS_PER_MS 1000000u
#define NO_LIMIT AIODUCT_NO_LIMIT /* shorter in the tables */

static int bad(struct aioduct_error *error, const char *option, const char *why)
{
    return ad_error_set(error, -EINVAL, AIODUCT_PHASE_SETUP, "client option %s: %s", option, why);
}

static int bad_int(struct aioduct_error *error, const char *option, long long value,
                   const char *allowed)
{
    return ad_error_set(error, -EINVAL, AIODUCT_PHASE_SETUP,
                        "client option %s: %lld is not allowed, only %s", option, value, allowed);
}

/* ---- numbers ---- */

#define OPTION(field) #field, offsetof(struct aioduct_client_options, field)

struct number {
    const char *name;
    size_t from; /* int in the options */
    size_t to;   /* in the settings */
    int initial; /* what 0 stands for; NO_LIMIT: none */
};

static const struct number times[] = {
    {OPTION(connect_timeout_ms), offsetof(struct ad_settings, connect_ns), 10000},
    {OPTION(acquire_timeout_ms), offsetof(struct ad_settings, acquire_ns), 30000},
    {OPTION(head_timeout_ms), offsetof(struct ad_settings, head_ns), 60000},
    {OPTION(read_gap_timeout_ms), offsetof(struct ad_settings, read_gap_ns), 60000},
    {OPTION(write_gap_timeout_ms), offsetof(struct ad_settings, write_gap_ns), 60000},
    {OPTION(expect_timeout_ms), offsetof(struct ad_settings, expect_ns), 1000},
    {OPTION(total_timeout_ms), offsetof(struct ad_settings, total_ns), NO_LIMIT},
    {OPTION(idle_timeout_ms), offsetof(struct ad_settings, idle_ns), 90000},
    {OPTION(connection_age_ms), offsetof(struct ad_settings, age_ns), 900000},
    {OPTION(ping_timeout_ms), offsetof(struct ad_settings, ping_ns), 10000},
    {OPTION(ping_interval_ms), offsetof(struct ad_settings, ping_interval_ns), NO_LIMIT},
};

static const struct number limits[] = {
    {OPTION(head_bytes_max), offsetof(struct ad_settings, h1.head_bytes_max), 65536},
    {OPTION(head_fields_max), offsetof(struct ad_settings, h1.head_fields_max), 256},
    {OPTION(interim_max), offsetof(struct ad_settings, h1.interim_max), 16},
    {OPTION(trailer_bytes_max), offsetof(struct ad_settings, h1.trailer_bytes_max), 16384},
    {OPTION(chunk_ext_max), offsetof(struct ad_settings, h1.chunk_ext_max), 16384},
    {OPTION(url_bytes_max), offsetof(struct ad_settings, url_bytes_max), 65536},
    {OPTION(connections_per_origin_max), offsetof(struct ad_settings, connections_per_origin_max),
     64},
    {OPTION(h2_connections_per_origin_max),
     offsetof(struct ad_settings, h2_connections_per_origin_max), 4},
    {OPTION(h2_streams_max), offsetof(struct ad_settings, h2.streams_max), 256},
    {OPTION(waiters_max), offsetof(struct ad_settings, waiters_max), 10000},
};

/* The same, and AIODUCT_OFF is 0. */
static const struct number policies[] = {
    {OPTION(drain_bytes_max), offsetof(struct ad_settings, drain_bytes_max), 65536},
    {OPTION(idle_per_origin_max), offsetof(struct ad_settings, idle_per_origin_max), 16},
    {OPTION(idle_total_max), offsetof(struct ad_settings, idle_total_max), 256},
    {OPTION(replays_max), offsetof(struct ad_settings, replays_max), 2},
};

static int int_at(const struct aioduct_client_options *options, size_t offset)
{
    int value;
    memcpy(&value, (const char *)options + offset, sizeof value);
    return value;
}

static int take_times(struct ad_settings *s, const struct aioduct_client_options *o,
                      struct aioduct_error *error)
{
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        int value = int_at(o, times[i].from);
        if (value < NO_LIMIT) {
            return bad_int(error, times[i].name, value, "milliseconds, 0 or AIODUCT_NO_LIMIT");
        }
        value = value == 0 ? times[i].initial : value;
        uint64_t ns = value == NO_LIMIT ? 0 : (uint64_t)value * NS_PER_MS;
        memcpy((char *)s + times[i].to, &ns, sizeof ns);
    }
    return 0;
}

static int take_counts(struct ad_settings *s, const struct aioduct_client_options *o,
                       const struct number *table, size_t count, bool may_be_off,
                       struct aioduct_error *error)
{
    for (size_t i = 0; i < count; i++) {
        int value = int_at(o, table[i].from);
        if (value < NO_LIMIT && !(may_be_off && value == AIODUCT_OFF)) {
            return bad_int(error, table[i].name, value,
                           may_be_off ? "a count, 0, AIODUCT_NO_LIMIT or AIODUCT_OFF"
                                      : "a count, 0 or AIODUCT_NO_LIMIT");
        }
        value = value == 0 ? table[i].initial : value;
        uint32_t limit = value == AIODUCT_OFF ? 0
                         : value == NO_LIMIT  ? UINT32_MAX
                                              : (uint32_t)value;
        memcpy((char *)s + table[i].to, &limit, sizeof limit);
    }
    return 0;
}

/* After the limits that both protocols have. */
static int take_h2(struct ad_settings *s, const struct aioduct_client_options *o,
                   struct aioduct_error *error)
{
    int window = o->h2_connection_window_bytes;
    if (window < NO_LIMIT) {
        return bad_int(error, "h2_connection_window_bytes", window, "bytes, 0 or AIODUCT_NO_LIMIT");
    }
    s->h2.head_bytes_max = s->h1.head_bytes_max;
    s->h2.head_fields_max = s->h1.head_fields_max;
    s->h2.interim_max = s->h1.interim_max;
    s->h2.trailer_bytes_max = s->h1.trailer_bytes_max;
    s->h2.stream_window_bytes = s->window_bytes;
    s->h2.connection_window_bytes = window == 0          ? 16u << 20
                                    : window == NO_LIMIT ? UINT64_MAX
                                                         : (uint64_t)window;
    return 0;
}

static int take_limits(struct ad_settings *s, const struct aioduct_client_options *o,
                       struct aioduct_error *error)
{
    int code = take_counts(s, o, limits, sizeof limits / sizeof limits[0], false, error);
    if (code == 0) {
        code = take_counts(s, o, policies, sizeof policies / sizeof policies[0], true, error);
    }
    if (code < 0) {
        return code;
    }
    if (o->window_bytes < NO_LIMIT) {
        return bad_int(error, "window_bytes", o->window_bytes, "bytes, 0 or AIODUCT_NO_LIMIT");
    }
    s->window_bytes = o->window_bytes == 0          ? 1u << 20
                      : o->window_bytes == NO_LIMIT ? UINT64_MAX
                                                    : (uint64_t)o->window_bytes;
    if (o->collect_bytes_max < NO_LIMIT) {
        return bad_int(error, "collect_bytes_max", (long long)o->collect_bytes_max,
                       "bytes, 0 or AIODUCT_NO_LIMIT");
    }
    s->collect_bytes_max = o->collect_bytes_max == 0          ? 64u << 20
                           : o->collect_bytes_max == NO_LIMIT ? UINT64_MAX
                                                              : (uint64_t)o->collect_bytes_max;
    return take_h2(s, o, error);
}

static int take_low_speed(struct ad_settings *s, const struct aioduct_client_options *o,
                          struct aioduct_error *error)
{
    if (o->low_speed_bytes < 0) {
        return bad_int(error, "low_speed_bytes", o->low_speed_bytes, "bytes a second, or 0");
    }
    if (o->low_speed_s < 0) {
        return bad_int(error, "low_speed_s", o->low_speed_s, "seconds, or 0");
    }
    if (o->low_speed_s > 0 && o->low_speed_bytes == 0) {
        return bad(error, "low_speed_s", "needs low_speed_bytes");
    }
    int seconds = o->low_speed_s == 0 ? AD_LOW_SPEED_S : o->low_speed_s;
    s->low_speed_bytes = (uint64_t)o->low_speed_bytes;
    s->low_speed_ns = o->low_speed_bytes == 0 ? 0 : (uint64_t)seconds * 1000 * NS_PER_MS;
    return 0;
}

static int take_choices(struct ad_settings *s, const struct aioduct_client_options *o,
                        struct aioduct_error *error)
{
    if (o->workers < 0 || o->workers > WORKERS_MAX) {
        return bad_int(error, "workers", o->workers, "0 to 1024");
    }
    if ((int)o->binding < AIODUCT_BINDING_AUTO || o->binding > AIODUCT_BINDING_LOCAL) {
        return bad_int(error, "binding", o->binding, "AIODUCT_BINDING_AUTO, _SEND or _LOCAL");
    }
    if (o->binding == AIODUCT_BINDING_LOCAL && o->workers > 0) {
        return bad(error, "binding", "AIODUCT_BINDING_LOCAL excludes workers");
    }
    if (o->family != AIODUCT_FAMILY_ANY && o->family != AIODUCT_FAMILY_IPV4 &&
        o->family != AIODUCT_FAMILY_IPV6) {
        return bad_int(error, "family", o->family, "AIODUCT_FAMILY_ANY, _IPV4 or _IPV6");
    }
    if (o->version != AIODUCT_HTTP_AUTO && o->version != AIODUCT_HTTP_1_1 &&
        o->version != AIODUCT_HTTP_2 && o->version != AIODUCT_HTTP_2_PRIOR_KNOWLEDGE) {
        return bad_int(error, "version", o->version, "AIODUCT_HTTP_*");
    }
    if (o->h2_probe != 0 && o->h2_probe != AIODUCT_OFF) {
        return bad_int(error, "h2_probe", o->h2_probe, "0 or AIODUCT_OFF");
    }
    if (o->resolver_threads < 0 || o->resolver_threads > RESOLVER_THREADS_MAX) {
        return bad_int(error, "resolver_threads", o->resolver_threads, "0 to 256");
    }
    if (o->dns_cache_ms < NO_LIMIT) {
        return bad_int(error, "dns_cache_ms", o->dns_cache_ms,
                       "milliseconds, 0 or AIODUCT_NO_LIMIT");
    }
    s->workers = o->workers;
    s->binding = o->binding;
    s->family = o->family;
    s->version = o->version;
    s->resolver_threads = o->resolver_threads;
    s->dns_cache_ms = o->dns_cache_ms;
    s->h2_probe = o->h2_probe != AIODUCT_OFF;
    s->on_event = o->on_event;
    s->event_user = o->event_user;
    return 0;
}

static int take_race(struct ad_settings *s, const struct aioduct_client_options *o,
                     struct aioduct_error *error)
{
    if (o->resolution_delay_ms < 0 && o->resolution_delay_ms != AIODUCT_OFF) {
        return bad_int(error, "resolution_delay_ms", o->resolution_delay_ms,
                       "milliseconds, 0 or AIODUCT_OFF");
    }
    if (o->attempt_delay_ms != 0 && (o->attempt_delay_ms < 10 || o->attempt_delay_ms > 2000)) {
        return bad_int(error, "attempt_delay_ms", o->attempt_delay_ms, "0 or 10 to 2000");
    }
    s->resolution_delay_ms = o->resolution_delay_ms;
    s->attempt_delay_ms = o->attempt_delay_ms;
    return 0;
}

/* ---- strings and groups ---- */

static int copy(const char *from, const char **out)
{
    *out = ad_strdup(from);
    return from != NULL && *out == NULL ? -ENOMEM : 0;
}

static int check_ports(const struct aioduct_socket_options *o, struct aioduct_error *error)
{
    if (o->local_port_min < 0 || o->local_port_min > 65535) {
        return bad_int(error, "socket.local_port_min", o->local_port_min, "0 to 65535");
    }
    if (o->local_port_max != 0 &&
        (o->local_port_max < o->local_port_min || o->local_port_max > 65535)) {
        return bad_int(error, "socket.local_port_max", o->local_port_max,
                       "0 or local_port_min to 65535");
    }
    if (o->local_port_max != 0 && o->local_port_min == 0) {
        return bad(error, "socket.local_port_max", "needs local_port_min");
    }
    return 0;
}

static int take_socket(struct ad_settings *s, const struct aioduct_socket_options *o,
                       struct aioduct_error *error)
{
    uint8_t address[sizeof(struct in6_addr)];
    if (o->local_address != NULL && inet_pton(AF_INET, o->local_address, address) != 1 &&
        inet_pton(AF_INET6, o->local_address, address) != 1) {
        return bad(error, "socket.local_address", "not a numeric IPv4 or IPv6 address");
    }
    if (o->device != NULL && o->device[0] == '\0') {
        return bad(error, "socket.device", "the name of an interface is not empty");
    }
    if (o->device != NULL && strlen(o->device) >= IFNAMSIZ) {
        return bad(error, "socket.device", "the name of an interface has at most 15 bytes");
    }
    int code = check_ports(o, error);
    if (code < 0) {
        return code;
    }
    if (o->nodelay < -1 || o->nodelay > 1) {
        return bad_int(error, "socket.nodelay", o->nodelay, "0, 1 or AIODUCT_NO_LIMIT");
    }
    if (o->keepalive_idle_s < NO_LIMIT) {
        return bad_int(error, "socket.keepalive_idle_s", o->keepalive_idle_s,
                       "seconds, 0 or AIODUCT_NO_LIMIT");
    }
    if (o->keepalive_interval_s < 0) {
        return bad_int(error, "socket.keepalive_interval_s", o->keepalive_interval_s,
                       "seconds or 0");
    }
    if (o->keepalive_count < 0) {
        return bad_int(error, "socket.keepalive_count", o->keepalive_count, "a count or 0");
    }
    if (o->fast_open < 0 || o->fast_open > 1) {
        return bad_int(error, "socket.fast_open", o->fast_open, "0 or 1");
    }
    s->socket = *o;
    s->socket.local_address = s->socket.device = NULL;
    if (copy(o->local_address, &s->socket.local_address) < 0 ||
        copy(o->device, &s->socket.device) < 0) {
        return -ENOMEM;
    }
    return 0;
}

static int take_tls(struct ad_settings *s, const struct aioduct_tls_options *o,
                    struct aioduct_error *error)
{
    const unsigned known = AIODUCT_TLS_NO_VERIFY_CHAIN | AIODUCT_TLS_NO_VERIFY_NAME |
                           AIODUCT_TLS_KEYLOG | AIODUCT_TLS_ALLOW_TRUNCATION;
    if ((o->flags & ~known) != 0) {
        return bad(error, "tls.flags", "unknown bits");
    }
    if (o->key_file != NULL && o->cert_file == NULL) {
        return bad(error, "tls.key_file", "needs tls.cert_file");
    }
    s->tls.flags = o->flags;
    if (copy(o->ca_file, &s->tls.ca_file) < 0 || copy(o->ca_dir, &s->tls.ca_dir) < 0 ||
        copy(o->cert_file, &s->tls.cert_file) < 0 || copy(o->key_file, &s->tls.key_file) < 0 ||
        copy(o->key_password, &s->tls.key_password) < 0 ||
        copy(o->priority, &s->tls.priority) < 0) {
        return -ENOMEM;
    }
    return 0;
}

static int take_agent(struct ad_settings *s, const char *agent, struct aioduct_error *error)
{
    if (agent == NULL) {
        agent = "aioduct/" AIODUCT_VERSION;
    }
    struct ad_slice value = ad_slice_trim(ad_slice_of(agent));
    if (!ad_h1_is_field_value(value.p, value.bytes)) {
        return bad(error, "user_agent", "holds control bytes");
    }
    size_t bytes = value.bytes + sizeof "User-Agent: \r\n";
    s->agent_line = ad_alloc(bytes);
    if (s->agent_line == NULL) {
        return -ENOMEM;
    }
    s->agent_line[0] = '\0';
    if (value.bytes > 0) {
        snprintf(s->agent_line, bytes, "User-Agent: %.*s\r\n", (int)value.bytes, value.p);
    }
    s->agent = ad_slice_of(s->agent_line);
    return 0;
}

/* A caller built against another version: what it does not know is zero, what we do not know must
 * be. */
static int take_size(const struct aioduct_client_options *options,
                     struct aioduct_client_options *out, struct aioduct_error *error)
{
    *out = (struct aioduct_client_options){0};
    if (options == NULL) {
        return 0;
    }
    if (options->size < sizeof options->size) {
        return bad(error, "size", "not set; start from AIODUCT_CLIENT_OPTIONS_INIT");
    }
    size_t known = options->size < sizeof *out ? options->size : sizeof *out;
    memcpy(out, options, known);
    for (size_t i = known; i < options->size; i++) {
        if (((const char *)options)[i] != 0) {
            return bad(error, "size", "an option that this library is too old for is set");
        }
    }
    return 0;
}

static int take_loop(struct ad_settings *s, const struct aioduct_client_options *o,
                     struct aioduct_error *error)
{
    if (o->loop.kind == NULL) {
        return o->loop.loop == NULL ? 0 : bad(error, "loop.kind", "not set, but loop.loop is");
    }
    if (o->loop.loop == NULL) {
        return bad(error, "loop.loop", "not set, but loop.kind is");
    }
    if (o->workers > 0) {
        return bad(error, "loop", "excludes workers: the application's thread drives it");
    }
    s->loop = o->loop;
    s->loop.kind = NULL;
    return copy(o->loop.kind, &s->loop.kind);
}

static int take_strings(struct ad_settings *s, const struct aioduct_client_options *o)
{
    const char *runtime, *connectors, *config_file;
    int code = copy(o->runtime, &runtime);
    s->runtime = (char *)runtime;
    if (code < 0) {
        return code;
    }
    code = copy(o->connectors, &connectors);
    s->connectors = (char *)connectors;
    if (code < 0) {
        return code;
    }
    code = copy(o->config_file, &config_file);
    s->config_file = (char *)config_file;
    return code;
}

int ad_settings_init(struct ad_settings *settings, const struct aioduct_client_options *options,
                     struct aioduct_error *error)
{
    struct aioduct_client_options o;
    *settings = (struct ad_settings){0};
    int code = take_size(options, &o, error);
    if (code == 0) {
        code = take_times(settings, &o, error);
    }
    if (code == 0) {
        code = take_limits(settings, &o, error);
    }
    if (code == 0) {
        code = take_choices(settings, &o, error);
    }
    if (code == 0) {
        code = take_low_speed(settings, &o, error);
    }
    if (code == 0) {
        code = take_race(settings, &o, error);
    }
    if (code == 0) {
        code = take_loop(settings, &o, error);
    }
    if (code == 0) {
        code = take_socket(settings, &o.socket, error);
    }
    if (code == 0) {
        code = take_tls(settings, &o.tls, error);
    }
    if (code == 0) {
        code = ad_routes_init(&settings->routes, o.resolve, o.connect_to, error);
    }
    if (code == 0 && o.unix_socket != NULL &&
        ad_addr_parse_unix(o.unix_socket, &settings->routes.local) < 0) {
        code = bad(error, "unix_socket", "a path, or @ and a name, of at most 107 bytes");
    }
    if (code == 0) {
        code = take_agent(settings, o.user_agent, error);
    }
    if (code == 0) {
        code = take_strings(settings, &o);
    }
    if (code == -ENOMEM) {
        ad_error_set(error, -ENOMEM, AIODUCT_PHASE_SETUP, "out of memory");
    }
    if (code < 0) {
        ad_settings_fini(settings);
    }
    return code;
}

void ad_settings_fini(struct ad_settings *settings)
{
    ad_free(settings->runtime);
    ad_free(settings->connectors);
    ad_free(settings->config_file);
    ad_free((char *)settings->loop.kind);
    ad_free((char *)settings->socket.local_address);
    ad_free((char *)settings->socket.device);
    ad_free((char *)settings->tls.ca_file);
    ad_free((char *)settings->tls.ca_dir);
    ad_free((char *)settings->tls.cert_file);
    ad_free((char *)settings->tls.key_file);
    ad_free((char *)settings->tls.key_password);
    ad_free((char *)settings->tls.priority);
    ad_free(settings->agent_line);
    ad_routes_fini(&settings->routes);
    *settings = (struct ad_settings){0};
}
