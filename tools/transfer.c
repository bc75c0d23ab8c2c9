/* SPDX-License-Identifier: MIT */
#include "transfer.h"

#include "exitcode.h"
#include "head.h"
#include "options.h"
#include "progress.h"
#include "verbose.h"

#include <aioduct/aioduct.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE_MS 1000  /* of slowness */
#define PROGRESS_MS 200 /* between two pictures of the bar */

void complain(const struct options *o, const char *format, ...)
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

static bool is_word_byte(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* The library speaks of its options; here they have other names. */
static const char *own_word(const char *at, size_t *out_bytes)
{
    static const char *const words[][2] = {
        {"ca_file", "--cacert"},
        {"cert_file", "--cert"},
        {"key_file", "--key"},
        {"connect_timeout_ms", "--connect-timeout"},
        {"expect_timeout_ms", "--expect100-timeout"},
        {"total_timeout_ms", "--max-time"},
        {"socket.local_address", "--interface"},
        {"socket.device", "--interface"},
        {"client option connect_to", "--connect-to"},
        {"client option resolve", "--resolve"},
        {"client option connectors", "--connector"},
        {"the method", "-X"},
        {"option:", "--runtime:"},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t bytes = strlen(words[i][0]);
        if (strncmp(at, words[i][0], bytes) == 0 && !is_word_byte(at[bytes])) {
            *out_bytes = bytes;
            return words[i][1];
        }
    }
    return NULL;
}

static const char *in_own_words(const char *text, char *out, size_t room)
{
    size_t at = 0;
    for (const char *c = text; *c != '\0' && at + 1 < room;) {
        size_t skip = 0;
        bool begins = c == text || !(is_word_byte(c[-1]) || c[-1] == '/' || c[-1] == '.');
        const char *word = begins ? own_word(c, &skip) : NULL;
        if (word == NULL) {
            out[at++] = *c++;
            continue;
        }
        for (; *word != '\0' && at + 1 < room; word++) {
            out[at++] = *word;
        }
        c += skip;
    }
    out[at] = '\0';
    return out;
}

int complain_error(const struct options *o, const struct aioduct_error *e)
{
    char text[sizeof e->message + 64];
    int code = exitcode_of(e, o);
    complain(o, "(%d) %s", code,
             e->message[0] == '\0' ? aioduct_error_text(e->code)
                                   : in_own_words(e->message, text, sizeof text));
    if (e->hint[0] != '\0') {
        complain(o, "hint: %s", in_own_words(e->hint, text, sizeof text));
    }
    return code;
}

/* ---- callbacks ---- */

void transfer_learn(struct transfer *t, const struct aioduct_exchange *exchange)
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
    r->head_bytes = info.head_bytes;
    r->body_bytes = info.body_bytes;
    r->upload_bytes = info.upload_bytes;
    r->request_bytes = info.request_head_bytes + info.upload_bytes;
    r->connection = info.connection;
    r->replays = info.replays;
    r->timings = info.timings;
    if (t->unseen) { /* less than before: it is sent again */
        t->moved += info.upload_bytes > t->unseen_bytes ? info.upload_bytes - t->unseen_bytes : 0;
        t->unseen_bytes = info.upload_bytes;
    }
    if (!t->request_shown && info.request_head != NULL) {
        t->request_shown = true;
        verbose_request(t->verbose, r->protocol, info.request_head, info.request_head_bytes);
    }
}

static int write_head(struct transfer *t, const char *text, size_t bytes)
{
    const struct options *o = t->options;
    if (o->dump_header != NULL && output_write(&t->heads, text, bytes) < 0) {
        return -EIO;
    }
    return o->include_head || o->head_only ? output_write(&t->body, text, bytes) : 0;
}

static int show_head(struct transfer *t, const struct aioduct_head *head)
{
    const char *text;
    size_t bytes;
    char *made;
    if (head_text(head, &text, &bytes, &made) < 0) {
        return -ENOMEM;
    }
    verbose_bytes(t->verbose, VERBOSE_HEAD_IN, text, bytes);
    int code = write_head(t, text, bytes);
    free(made);
    return code;
}

static void on_interim(struct aioduct_exchange *exchange, const struct aioduct_head *head,
                       void *user)
{
    transfer_learn(user, exchange);
    if (show_head(user, head) < 0) {
        aioduct_exchange_cancel(exchange);
    }
}

static int64_t content_length(const struct aioduct_head *head)
{
    uint32_t bytes = 0;
    char text[24];
    const char *value = aioduct_head_find(head, "Content-Length", &bytes);
    if (value == NULL || bytes >= sizeof text) {
        return -1;
    }
    memcpy(text, value, bytes);
    text[bytes] = '\0';
    char *end;
    errno = 0;
    long long length = strtoll(text, &end, 10);
    return end == text || *end != '\0' || errno != 0 ? -1 : length;
}

/* -> 0, or why the body is not wanted */
static int judge_head(struct transfer *t, const struct aioduct_head *head)
{
    const struct options *o = t->options;
    t->expected = content_length(head);
    if (head->status >= 400 && (o->fail || o->fail_with_body)) {
        t->refused = true;
    }
    if (t->refused && o->fail) {
        show_head(t, head);
        return -ECANCELED;
    }
    if (o->filesize_max > 0 && !o->head_only && t->expected > 0 &&
        (uint64_t)t->expected > o->filesize_max) {
        t->too_large = true;
        return -EFBIG;
    }
    if (show_head(t, head) < 0 || output_open(&t->body) < 0) {
        return -EIO;
    }
    t->enough = o->head_only && strcmp(t->record.method, "HEAD") != 0;
    return t->enough ? -ECANCELED : 0;
}

static int on_head(struct aioduct_exchange *exchange, const struct aioduct_head *head, void *user)
{
    struct transfer *t = user;
    transfer_learn(t, exchange);
    record_head(&t->record, head);
    return judge_head(t, head);
}

static int on_body(struct aioduct_exchange *exchange, const void *bytes, size_t count, void *user)
{
    struct transfer *t = user;
    verbose_bytes(t->verbose, VERBOSE_BODY_IN, bytes, count);
    t->moved += count;
    t->record.body_bytes += count;
    if (t->options->filesize_max > 0 && t->record.body_bytes > t->options->filesize_max) {
        t->too_large = true;
        return -EFBIG;
    }
    pace_take(&t->down, count);
    if (t->down.rate != 0 && pace_room(&t->down, clock_ns()) <= 0) {
        t->paused = true;
        aioduct_exchange_pause(exchange);
    }
    return output_write(&t->body, bytes, count);
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct transfer *t = user;
    transfer_learn(t, exchange);
    if (!t->enough || error->code != AIODUCT_E_SINK) {
        t->record.error = *error;
    }
    t->exchange = NULL;
    t->done = true;
}

static const struct aioduct_callbacks callbacks = {
    .size = sizeof callbacks,
    .on_interim = on_interim,
    .on_head = on_head,
    .on_body = on_body,
    .on_done = on_done,
};

/* ---- outputs ---- */

static int open_outputs(struct transfer *t)
{
    const struct options *o = t->options;
    const char *name = t->index < o->outputs.count ? o->outputs.items[t->index] : NULL;
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
        t->heads.append = t->index > 0; /* heads of all transfers go to one file */
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

/* ---- what came of it ---- */

/* What we ended ourselves has a reason of its own. */
static int judge_own(struct transfer *t)
{
    const struct options *o = t->options;
    struct transfer_record *r = &t->record;
    int exit_code = 0;
    if (t->too_large) {
        exit_code = EXIT_FILESIZE;
        snprintf(r->error.message, sizeof r->error.message,
                 "the body is larger than the %" PRIu64 " bytes of --max-filesize",
                 o->filesize_max);
    } else if (t->too_slow) {
        exit_code = EXIT_TIMEOUT;
        snprintf(r->error.message, sizeof r->error.message,
                 "slower than %" PRIu64 " bytes a second (-Y) for %d seconds", o->speed_limit,
                 o->speed_time_s);
    } else if (t->refused) {
        exit_code = EXIT_STATUS;
        snprintf(r->error.message, sizeof r->error.message, "the server answered with status %d",
                 r->status);
    }
    if (exit_code != 0) {
        complain(o, "(%d) %s", exit_code, r->error.message);
    }
    return exit_code;
}

static int judge(struct transfer *t)
{
    const struct options *o = t->options;
    const struct aioduct_error *error = &t->record.error;
    bool ended_well = error->code == 0 || (t->refused && error->code == AIODUCT_E_SINK);
    int own = t->refused && !ended_well ? 0 : judge_own(t);
    if (own != 0 || error->code == 0 || (t->abandoned && error->code == -ECANCELED)) {
        return own;
    }
    if (t->body.error != 0 || t->heads.error != 0) {
        return EXIT_WRITE; /* told when the outputs are closed */
    }
    int unread =
        t->unseen && error->code == AIODUCT_E_BODY_SOURCE ? error->os_code : t->upload.error;
    if (unread != 0) {
        complain(o, "(%d) cannot read %s: %s", EXIT_READ, t->upload_name, strerror(unread));
        return EXIT_READ;
    }
    return complain_error(o, error);
}

/* ---- life ---- */

void transfer_begin(struct transfer *t, struct aioduct_client *client, const struct options *o,
                    const struct verbose *verbose, size_t index)
{
    *t = (struct transfer){
        .options = o,
        .verbose = verbose,
        .client = client,
        .index = index,
        .url = o->urls.items[index],
        .upload_name = index < o->uploads.count ? o->uploads.items[index] : NULL,
        .upload = {.fd = -1},
        .body = {.fd = -1},
        .heads = {.fd = -1},
        .expected = -1,
    };
    t->record.runtime = aioduct_client_runtime(client);
    t->record.runtime_origin = aioduct_client_runtime_origin(client);
    t->record.url = t->url;
    t->record.given_url = t->url;
    t->record.index = index;
    t->record.referer = o->referer;
    pace_init(&t->down, o->rate);
    pace_init(&t->up, o->rate);
    slowness_init(&t->slowness, o->speed_limit, o->speed_time_s, clock_ns());

    t->exit_code = transfer_make_request(t);
    if (t->exit_code == 0) {
        t->exit_code = open_outputs(t);
    }
    t->done = t->exit_code != 0;
    if (t->done) {
        return;
    }
    t->record.url = aioduct_request_url(t->request);
    verbose_info(verbose, "Runtime %s (%s)", t->record.runtime, t->record.runtime_origin);
    int code = aioduct_client_submit(client, t->request, &callbacks, t, &t->exchange);
    if (code < 0) {
        t->record.error.code = code;
        t->record.error.phase = AIODUCT_PHASE_SETUP;
        snprintf(t->record.error.message, sizeof t->record.error.message, "%s",
                 code == -EINVAL ? "Content-Length, Transfer-Encoding or Upgrade of -H contradicts "
                                   "the request"
                                 : aioduct_error_text(code));
        t->done = true;
    }
}

static int least(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

int transfer_tick(struct transfer *t)
{
    const struct options *o = t->options;
    uint64_t now_ns = clock_ns();
    int wait_ms = -1;
    if (t->done) {
        return -1;
    }
    if (t->paused) {
        wait_ms = pace_wait_ms(&t->down, now_ns);
        if (wait_ms == 0) {
            t->paused = false;
            aioduct_exchange_resume(t->exchange);
        }
    }
    if (t->waiting) {
        int up_ms = pace_wait_ms(&t->up, now_ns);
        wait_ms = least(wait_ms, up_ms);
        if (up_ms == 0) {
            t->waiting = false;
            aioduct_exchange_body_ready(t->exchange);
        }
    }
    if (t->unseen && (o->speed_limit != 0 || progress_wanted(o))) {
        transfer_learn(t, t->exchange);
    }
    if (o->speed_limit != 0) {
        wait_ms = least(wait_ms, SAMPLE_MS);
        if (!t->too_slow && slowness_check(&t->slowness, t->moved, now_ns)) {
            t->too_slow = true;
            aioduct_exchange_cancel(t->exchange);
        }
    }
    if (progress_wanted(o)) {
        wait_ms = least(wait_ms, PROGRESS_MS);
        progress_draw(t->moved, t->expected, false);
    }
    return wait_ms;
}

int transfer_end(struct transfer *t)
{
    const struct options *o = t->options;
    if (t->exit_code == 0) {
        t->exit_code = judge(t);
    }
    if (progress_wanted(o)) {
        progress_draw(t->moved, t->expected, true);
    }
    t->record.exit_code = t->exit_code;
    if (o->write_out != NULL) {
        writeout(o->write_out, &t->record);
    }
    t->exit_code = close_outputs(t, t->exit_code);
    record_fini(&t->record);
    upload_close(&t->upload);
    aioduct_request_destroy(t->request);
    return t->exit_code;
}
