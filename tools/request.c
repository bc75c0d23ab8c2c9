/* SPDX-License-Identifier: MIT */
/* What the options say of a request. */
#include "exitcode.h"
#include "options.h"
#include "transfer.h"
#include "url.h"
#include "verbose.h"

#include <aioduct/aioduct.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A body above this, or of unknown length, is announced first, as curl does. */
#define EXPECT_BYTES (1024 * 1024)

/* ---- headers ---- */

static int refuse_header(const struct options *o, const char *line, bool host)
{
    complain(o, "(%d) header refused: '%s' (use 'Name: value'; no line breaks or control bytes)",
             EXIT_USAGE, line);
    if (host) {
        complain(o, "hint: Host is a name with or without a port, and cannot be left out");
    }
    return EXIT_USAGE;
}

/* "Name: value", "Name:" (remove), "Name;" (empty value). */
static int add_header(struct aioduct_request *request, const struct options *o, const char *line)
{
    size_t name_bytes = strcspn(line, ":;");
    char *name = strndup(line, name_bytes);
    if (name == NULL) {
        return EXIT_MEMORY;
    }
    int code;
    const char *value = line + name_bytes + (line[name_bytes] != '\0');
    value += strspn(value, " \t");
    bool host = strcasecmp(name, "Host") == 0;
    if (line[name_bytes] == ';' && *value == '\0') {
        code = aioduct_request_header_set(request, name, "");
    } else if (line[name_bytes] != ':') {
        code = -EINVAL;
    } else if (host && *value != '\0') {
        code = aioduct_request_authority(request, value);
    } else if (strcasecmp(name, "Expect") == 0) {
        /* An empty one is no Expect at all; which bodies get one else is said below. */
        code = strcasecmp(value, "100-continue") == 0 ? aioduct_request_expect_continue(request, 1)
               : *value == '\0'                       ? 0
                                : aioduct_request_header_add(request, name, value);
    } else {
        code = *value == '\0' ? aioduct_request_header_remove(request, name)
                              : aioduct_request_header_add(request, name, value);
    }
    free(name);
    return code < 0 ? refuse_header(o, line, host) : 0;
}

static int add_headers(struct aioduct_request *request, const struct options *o)
{
    int code = 0;
    if (o->user_agent != NULL && !options_have_header(o, "User-Agent")) {
        code = o->user_agent[0] == '\0'
                   ? aioduct_request_header_remove(request, "User-Agent")
                   : aioduct_request_header_set(request, "User-Agent", o->user_agent);
    }
    bool referer =
        o->referer != NULL && o->referer[0] != '\0' && !options_have_header(o, "Referer");
    if (code == 0 && referer) {
        code = aioduct_request_header_set(request, "Referer", o->referer);
    }
    if (code < 0) {
        complain(o, "(%d) -A or -e: value refused (no line breaks or control bytes)", EXIT_USAGE);
        return EXIT_USAGE;
    }
    if (options_have_header(o, "Authorization")) {
        aioduct_request_header_remove(request, "Authorization"); /* the URL's */
    }
    for (size_t i = 0; i < o->headers.count; i++) {
        int exit_code = add_header(request, o, o->headers.items[i]);
        if (exit_code != 0) {
            return exit_code;
        }
    }
    if (o->has_data && !options_have_header(o, "Content-Type")) {
        aioduct_request_header_set(request, "Content-Type", "application/x-www-form-urlencoded");
    }
    return 0;
}

static int add_user(struct aioduct_request *request, const struct options *o)
{
    if (o->user == NULL || options_have_header(o, "Authorization")) {
        return 0;
    }
    char *user = strndup(o->user, strcspn(o->user, ":"));
    const char *colon = strchr(o->user, ':');
    int code = user == NULL
                   ? -ENOMEM
                   : aioduct_request_basic_auth(request, user, colon != NULL ? colon + 1 : "");
    free(user);
    if (code < 0) {
        complain(o, "(%d) -u: %s", EXIT_USAGE, aioduct_error_text(code));
        return EXIT_USAGE;
    }
    return 0;
}

/* ---- the body ---- */

static int64_t on_read(void *user, void *buffer, size_t capacity)
{
    struct transfer *t = user;
    int64_t room = pace_room(&t->up, clock_ns());
    if (room <= 0) {
        t->waiting = true; /* the next tick with room says that there is more */
        return AIODUCT_BODY_WAIT;
    }
    if (t->exchange != NULL) {
        transfer_learn(t, t->exchange);
    }
    int64_t got =
        upload_read(&t->upload, buffer, (int64_t)capacity < room ? capacity : (size_t)room);
    if (got > 0) {
        pace_take(&t->up, (uint64_t)got);
        t->moved += (uint64_t)got;
        verbose_bytes(t->verbose, VERBOSE_BODY_OUT, buffer, (size_t)got);
    }
    return got;
}

static int on_rewind(void *user)
{
    struct transfer *t = user;
    return upload_rewind(&t->upload);
}

static int open_upload(struct transfer *t)
{
    const struct options *o = t->options;
    if (o->has_data) {
        upload_memory(&t->upload, o->data != NULL ? o->data : "", o->data_bytes);
        return 0;
    }
    return upload_open(&t->upload, t->upload_name);
}

static int add_body(struct transfer *t)
{
    const struct options *o = t->options;
    if (!o->has_data && t->upload_name == NULL) {
        return 0;
    }
    int exit_code = open_upload(t);
    if (exit_code != 0) {
        return exit_code;
    }
    int64_t length = t->upload.length;
    int code;
    /* Nobody here has to see the bytes: those of a file need not be read at all. */
    t->unseen = t->upload.regular && o->rate == 0 && t->verbose->to == NULL;
    if (t->unseen && o->has_data) {
        code = aioduct_request_body_borrow(t->request, t->upload.memory, o->data_bytes);
    } else if (t->unseen) {
        code = aioduct_request_body_file(t->request, t->upload.fd, 0, length);
    } else {
        struct aioduct_body_source source = {
            .size = sizeof source,
            .read = on_read,
            .rewind = t->upload.regular ? on_rewind : NULL,
            .user = t,
        };
        code = aioduct_request_body_pull(t->request, &source, length);
    }
    if (code == 0 && (length < 0 || length > EXPECT_BYTES) && !options_have_header(o, "Expect")) {
        code = aioduct_request_expect_continue(t->request, 1);
    }
    if (code < 0) {
        complain(o, "(%d) the body does not fit the headers: %s", EXIT_USAGE,
                 code == -EINVAL ? "leave Content-Length and Transfer-Encoding to the command"
                                 : aioduct_error_text(code));
    }
    return code == -ENOMEM ? EXIT_MEMORY : code < 0 ? EXIT_USAGE : 0;
}

/* ---- all of it ---- */

int request_add_fields(struct aioduct_request *request, const struct options *o)
{
    int exit_code = add_headers(request, o);
    return exit_code != 0 ? exit_code : add_user(request, o);
}

int transfer_make_request(struct transfer *t)
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
    int code = aioduct_request_create(t->record.method, url, &t->request, &t->record.error);
    free(url);
    if (code < 0) {
        return complain_error(o, &t->record.error);
    }
    int exit_code = request_add_fields(t->request, o);
    exit_code = exit_code != 0 ? exit_code : add_body(t);
    if (exit_code == 0) {
        aioduct_request_version(t->request, o->version);
    }
    if (exit_code == 0 && o->max_time_ms > 0) {
        aioduct_request_total_timeout_ms(t->request, o->max_time_ms);
    }
    return exit_code;
}
