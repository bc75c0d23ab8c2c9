/* SPDX-License-Identifier: MIT */
#include "plugins_child.h"

#include <aioduct/aioduct.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Written whole, in this order: words, candidates, what has no effect, one result. */
struct record {
    enum { WORD, TRIED, UNHEEDED, CHOSEN, REFUSED } kind;
    union {
        struct {
            char source[512], word[4224];
        } word; /* or what is unheeded */
        struct plugin_row tried;
        struct aioduct_runtime_selection chosen;
        struct aioduct_error refused;
    } is;
};

static void copy(char *to, size_t bytes, const char *from)
{
    snprintf(to, bytes, "%s", from == NULL ? "" : from);
}

void plugin_row_set(struct plugin_row *row, const struct aioduct_runtime_info *info)
{
    row->status = info->status;
    copy(row->name, sizeof row->name, info->name);
    copy(row->capabilities, sizeof row->capabilities, info->capabilities);
    copy(row->abi, sizeof row->abi, info->abi);
    copy(row->version, sizeof row->version, info->version);
    copy(row->origin, sizeof row->origin, info->origin);
    copy(row->reason, sizeof row->reason, info->reason);
    copy(row->hint, sizeof row->hint, info->hint);
}

/* ---- in the child ---- */

static void say(int fd, const struct record *record)
{
    const uint8_t *at = (const uint8_t *)record;
    for (size_t left = sizeof *record; left > 0;) {
        ssize_t wrote = write(fd, at, left);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote < 0) {
            _exit(1); /* nobody listens any more */
        }
        at += wrote;
        left -= (size_t)wrote;
    }
}

static void say_word(const char *source, const char *word, void *fd)
{
    struct record record = {.kind = WORD};
    copy(record.is.word.source, sizeof record.is.word.source, source);
    copy(record.is.word.word, sizeof record.is.word.word, word);
    say(*(int *)fd, &record);
}

static void say_tried(const struct aioduct_runtime_info *info, void *fd)
{
    struct record record = {.kind = TRIED};
    plugin_row_set(&record.is.tried, info);
    say(*(int *)fd, &record);
}

static void say_unheeded(const char *source, const char *what, void *fd)
{
    struct record record = {.kind = UNHEEDED};
    copy(record.is.word.source, sizeof record.is.word.source, source);
    copy(record.is.word.word, sizeof record.is.word.word, what);
    say(*(int *)fd, &record);
}

static int say_connector(const struct aioduct_runtime_info *info, void *fd)
{
    say_tried(info, fd);
    return 0;
}

/* What is chosen may still be refused: its options, connectors, where the log is to go. */
static int make_client(const struct plugin_question *question,
                       const struct aioduct_runtime_selection *chosen, struct aioduct_error *error)
{
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_client *client;
    options.runtime = question->wanted;
    if (question->need != AIODUCT_NEED_ANY) { /* a client has no such wish: it gets the result */
        options.runtime = chosen->origin[0] == '/' ? chosen->origin : chosen->name;
    }
    int code = aioduct_client_create(&options, &client, error);
    return code < 0 ? code : aioduct_client_destroy(client);
}

static void answer(const struct plugin_question *question, int fd)
{
    struct record record = {.kind = CHOSEN};
    struct aioduct_error error = {0};
    const struct aioduct_runtime_explainer explainer = {.size = sizeof explainer,
                                                        .on_word = say_word,
                                                        .on_candidate = say_tried,
                                                        .on_unheeded = say_unheeded,
                                                        .need = question->need};
    record.is.chosen.size = sizeof record.is.chosen;
    int code = question->connectors ? aioduct_connector_list(1, say_connector, &fd, &error)
                                    : aioduct_runtime_explain(question->wanted, &explainer, &fd,
                                                              &record.is.chosen, &error);
    if (code == 0 && question->client) {
        code = make_client(question, &record.is.chosen, &error);
    }
    if (code < 0) {
        record.kind = REFUSED;
        record.is.refused = error;
    }
    say(fd, &record);
}

/* ---- in the parent ---- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* -> 1 a record | 0 the child has ended, or broken off | -ETIMEDOUT */
static int hear(int fd, int64_t deadline_ms, struct record *record)
{
    size_t got = 0;
    while (got < sizeof *record) {
        int64_t rest_ms = deadline_ms - now_ms();
        struct pollfd polled = {.fd = fd, .events = POLLIN};
        int ready = rest_ms > 0 ? poll(&polled, 1, (int)rest_ms) : 0;
        if (ready < 0 && errno == EINTR) {
            continue;
        }
        if (ready == 0) {
            return -ETIMEDOUT;
        }
        ssize_t more = read(fd, (uint8_t *)record + got, sizeof *record - got);
        if (more <= 0) {
            return 0;
        }
        got += (size_t)more;
    }
    return 1;
}

static void tell(const struct plugin_hears *on, const struct record *record, void *user)
{
    if (record->kind == WORD && on->on_word != NULL) {
        on->on_word(record->is.word.source, record->is.word.word, user);
    } else if (record->kind == TRIED && on->on_tried != NULL) {
        on->on_tried(&record->is.tried, user);
    } else if (record->kind == UNHEEDED && on->on_unheeded != NULL) {
        on->on_unheeded(record->is.word.source, record->is.word.word, user);
    }
}

static void say_death(struct aioduct_error *error, const struct plugin_question *question,
                      bool late, int status)
{
    memset(error, 0, sizeof *error);
    error->code = AIODUCT_E_PLUGIN_INVALID;
    if (late) {
        snprintf(error->message, sizeof error->message,
                 "no answer within %u s, while a plugin was loaded or probed",
                 question->timeout_seconds);
    } else if (WIFSIGNALED(status)) {
        snprintf(error->message, sizeof error->message,
                 "ended by signal %d (%s), while a plugin was loaded or probed", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    } else {
        snprintf(error->message, sizeof error->message,
                 "ended with status %d, while a plugin was loaded or probed", WEXITSTATUS(status));
    }
    snprintf(error->hint, sizeof error->hint,
             "A program that chose this plugin would fare no better: remove its file.");
}

static int follow(pid_t child, int fd, const struct plugin_question *question,
                  const struct plugin_hears *on, void *user, struct record *last)
{
    const int64_t deadline_ms = now_ms() + (int64_t)question->timeout_seconds * 1000;
    int heard, status = 0;
    last->kind = WORD;
    while ((heard = hear(fd, deadline_ms, last)) == 1 && last->kind < CHOSEN) {
        tell(on, last, user);
    }
    if (heard < 0) {
        kill(child, SIGKILL);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    if (heard != 1) {
        say_death(&last->is.refused, question, heard < 0, status);
        last->kind = REFUSED;
    }
    return last->kind == CHOSEN ? 0 : last->is.refused.code;
}

/* The library's word for what the question names. */
static void name_source(const struct plugin_question *question, struct aioduct_error *error)
{
    static const char ours[] = "option: ";
    char message[sizeof error->message];
    if (question->wanted_by != NULL && strncmp(error->message, ours, sizeof ours - 1) == 0) {
        memcpy(message, error->message, sizeof message);
        snprintf(error->message, sizeof error->message, "%.40s: %.*s", question->wanted_by,
                 (int)(sizeof message - 48), message + sizeof ours - 1);
    }
}

int plugins_ask(const struct plugin_question *question, const struct plugin_hears *on, void *user,
                struct aioduct_runtime_selection *chosen, struct aioduct_error *error)
{
    int ends[2];
    struct record last;
    fflush(NULL); /* else the child has a copy of what waits to be written */
    pid_t child = pipe2(ends, O_CLOEXEC) < 0 ? -1 : fork();
    if (child == 0) {
        close(ends[0]);
        answer(question, ends[1]);
        _exit(0);
    }
    if (child < 0) {
        memset(error, 0, sizeof *error);
        error->code = -errno;
        snprintf(error->message, sizeof error->message, "cannot start a process: %s",
                 strerror(errno));
        return error->code;
    }
    close(ends[1]);
    int code = follow(child, ends[0], question, on, user, &last);
    close(ends[0]);
    if (code < 0) {
        *error = last.is.refused;
        name_source(question, error);
    } else {
        *chosen = last.is.chosen;
    }
    return code;
}
