/* SPDX-License-Identifier: MIT */
#include "base/error.h"

#include "base/escape.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define E(name, class, retry, text)                     \
    {                                                   \
        name, #name, text, AIODUCT_CLASS_##class, retry \
    }

static const struct ad_error_entry entries[] = {
    E(AIODUCT_E_UNAVAILABLE, LOCAL, 0, "the runtime cannot run on this machine"),
    E(AIODUCT_E_UNSUPPORTED, USAGE, 0, "the runtime does not have this option or operation"),
    E(AIODUCT_E_THREAD, USAGE, 0, "called from a thread that does not own the object"),
    E(AIODUCT_E_NESTED, USAGE, 0, "blocking call inside a callback of the same client"),
    E(AIODUCT_E_FORKED, USAGE, 0, "the object belongs to the parent process"),
    E(AIODUCT_E_CLASH, LOCAL, 0, "the runtime's loop library is shadowed by another library"),
    E(AIODUCT_E_PLUGIN_NOT_FOUND, LOCAL, 0, "no such runtime is installed"),
    E(AIODUCT_E_PLUGIN_INVALID, LOCAL, 0, "the file is not a usable plugin"),
    E(AIODUCT_E_PLUGIN_ABI, LOCAL, 0, "the plugin was built for another ABI"),
    E(AIODUCT_E_PLUGIN_DEPENDENCY, LOCAL, 0, "a library that the plugin needs is missing"),
    E(AIODUCT_E_PLUGIN_UNSAFE, LOCAL, 0, "others may write the plugin or its directory"),
    E(AIODUCT_E_PLUGIN_CAPABILITY, USAGE, 0, "the runtime lacks what this client needs"),
    E(AIODUCT_E_PLUGIN_NAME, USAGE, 0, "malformed runtime name or relative plugin path"),
    E(AIODUCT_E_TOO_LATE, USAGE, 0, "must be set before the first client is created"),
    E(AIODUCT_E_CONFIG, LOCAL, 0, "the configuration file is wrong"),
    E(AIODUCT_E_URL, USAGE, 0, "malformed URL"),
    E(AIODUCT_E_URL_SCHEME, USAGE, 0, "unsupported URL scheme: neither http nor https"),
    E(AIODUCT_E_BODY_LENGTH, USAGE, 0, "the request body is not as long as was declared"),
    E(AIODUCT_E_BODY_SOURCE, USAGE, 0, "the request body's source failed"),
    E(AIODUCT_E_LIMIT, USAGE, 0, "a limit of the client was reached"),
    E(AIODUCT_E_SINK, USAGE, 0, "the program's callback, or its file, did not take the response"),
    E(AIODUCT_E_RESOLVE, PEER, 0, "the host name does not exist"),
    E(AIODUCT_E_RESOLVE_TEMPORARY, TEMPORARY, 1, "the host name could not be looked up now"),
    E(AIODUCT_E_TIMEOUT, TEMPORARY, 1, "a deadline passed"),
    E(AIODUCT_E_CLOSED, PEER, 1, "the peer closed the connection without an answer"),
    E(AIODUCT_E_TLS, PEER, 0, "TLS failure"),
    E(AIODUCT_E_TLS_VERIFY, PEER, 0, "the peer's certificate was refused"),
    E(AIODUCT_E_TLS_CONFIG, LOCAL, 0, "a certificate, key or trust file cannot be used"),
    E(AIODUCT_E_PROTOCOL, PEER, 0, "the peer's answer is not valid HTTP"),
    E(AIODUCT_E_HEAD_LIMIT, PEER, 0, "the response head is larger than the limit"),
    E(AIODUCT_E_TRUNCATED, PEER, 1, "the response body ended early"),
    E(AIODUCT_E_NOT_HTTP, PEER, 0, "the peer does not speak HTTP"),
    E(AIODUCT_E_STREAM, PEER, 1, "the peer ended the HTTP/2 stream early"),
    E(AIODUCT_E_CLIENT_CLOSED, USAGE, 0, "the client is being destroyed"),
    E(AIODUCT_E_INTERNAL, LOCAL, 0, "internal error"),
};

static const struct ad_error_entry *find(int code)
{
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        if (entries[i].code == code) {
            return &entries[i];
        }
    }
    return NULL;
}

const struct ad_error_entry *ad_error_entries(size_t *out_count)
{
    *out_count = sizeof entries / sizeof entries[0];
    return entries;
}

const char *aioduct_error_name(int code)
{
    const struct ad_error_entry *entry = find(code);
    if (entry != NULL) {
        return entry->name;
    }
    if (code >= 0) {
        return "OK";
    }
    const char *name = code >= -4095 ? strerrorname_np(-code) : NULL;
    return name != NULL ? name : "unknown";
}

const char *aioduct_error_text(int code)
{
    const struct ad_error_entry *entry = find(code);
    if (entry != NULL) {
        return entry->text;
    }
    if (code >= 0) {
        return "success";
    }
    const char *text = code >= -4095 ? strerrordesc_np(-code) : NULL;
    return text != NULL ? text : "unknown error";
}

int aioduct_error_class(int code)
{
    const struct ad_error_entry *entry = find(code);
    if (entry != NULL) {
        return entry->class;
    }
    switch (-code) {
    case EINVAL:
    case EBUSY:
    case ECANCELED:
        return AIODUCT_CLASS_USAGE;
    case ECONNREFUSED:
    case ECONNRESET:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return AIODUCT_CLASS_TEMPORARY;
    default:
        return AIODUCT_CLASS_LOCAL;
    }
}

const char *aioduct_phase_name(enum aioduct_phase phase)
{
    static const char *const names[] = {"none", "setup", "queue", "resolve", "connect",
                                        "tls",  "send",  "head",  "body"};
    return (unsigned)phase < sizeof names / sizeof names[0] ? names[phase] : "none";
}

int ad_error_set(struct aioduct_error *e, int code, enum aioduct_phase phase, const char *format,
                 ...)
{
    if (e == NULL) {
        return code;
    }
    /* The arguments may lie in *e itself (wrapping a message), so the text is made apart first. */
    char text[sizeof e->message];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    ad_escape_in_place(text, sizeof text); /* some of it is the peer's */
    *e = (struct aioduct_error){.code = code, .phase = phase};
    if (code < 0 && code >= -4095) {
        e->os_code = -code;
    }
    memcpy(e->message, text, sizeof text);
    return code;
}

void ad_error_hint(struct aioduct_error *e, const char *format, ...)
{
    if (e == NULL) {
        return;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(e->hint, sizeof e->hint, format, args);
    va_end(args);
    ad_escape_in_place(e->hint, sizeof e->hint);
}
