/* SPDX-License-Identifier: MIT */
/* The whole file is read into one block and cut in place: keys and values point into it. */
#include "plugin/config.h"

#include "base/environment.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/slice.h"
#include "plugin/name.h"
#include "plugin/place.h"
#include "plugin/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYSTEM_FILE "/etc/aioduct/aioduct.conf"
#define USER_FILE "aioduct/aioduct.conf"

enum {
    FILE_BYTES_MAX = 65536, /* a hundred times a real one; stops a wrong path from filling memory */
    LINE_BYTES_MAX = PATH_MAX + 64, /* a plugin_directory as long as the system's paths may be */
    WORKERS_MAX = 1024              /* more loops than any machine has processors for */
};

struct entry {
    const char *key, *value;
    unsigned line;
    _Atomic bool asked; /* by the plugin whose option it is */
};

struct ad_config {
    char *path; /* NULL: no file was read */
    char *text; /* the file's bytes, NUL-terminated */
    struct entry *entries;
    unsigned count, capacity;
    int workers;
};

/* ---- one line ---- */

/* Where the reader stands, for messages. */
struct reader {
    struct ad_config *config;
    unsigned line;
    struct aioduct_error *error;
};

static int wrong(struct reader *r, const char *why, struct ad_slice what)
{
    int shown = what.bytes > 160 ? 160 : (int)what.bytes;
    return ad_plugin_fail(r->error, AIODUCT_E_CONFIG, "%s:%u: %s '%.*s'", r->config->path, r->line,
                          why, shown, what.p);
}

static const struct entry *find(const struct ad_config *config, const char *key)
{
    for (unsigned i = 0; config != NULL && i < config->count; i++) {
        if (strcmp(config->entries[i].key, key) == 0) {
            return &config->entries[i];
        }
    }
    return NULL;
}

static int check_runtime(struct reader *r, const char *value)
{
    struct ad_choice choice;
    struct aioduct_error why = {0};
    if (ad_choice_parse(value, &choice, &why) == 0) {
        return 0;
    }
    ad_plugin_fail(r->error, AIODUCT_E_CONFIG, "%s:%u: runtime: %s", r->config->path, r->line,
                   why.message);
    ad_error_hint(r->error, "%s", why.hint);
    return AIODUCT_E_CONFIG;
}

static int check_connector(struct reader *r, const char *value)
{
    struct ad_chain_word chain;
    struct aioduct_error why = {0};
    if (ad_chain_parse(value, &chain, &why) == 0) {
        return 0;
    }
    ad_plugin_fail(r->error, AIODUCT_E_CONFIG, "%s:%u: connector: %s", r->config->path, r->line,
                   why.message);
    ad_error_hint(r->error, "%s", why.hint);
    return AIODUCT_E_CONFIG;
}

static int check_workers(struct reader *r, const char *value)
{
    uint64_t workers = 0;
    if (ad_slice_to_u64(ad_slice_of(value), WORKERS_MAX, &workers) < 0) {
        wrong(r, "workers is not a number from 0 to 1024:", ad_slice_of(value));
        return AIODUCT_E_CONFIG;
    }
    r->config->workers = (int)workers;
    return 0;
}

/* What of @key is behind "runtime." or "connector."; NULL: it begins otherwise. */
static const char *behind_kind(const char *key, enum ad_kind kind)
{
    const char *word = ad_kind_word(kind);
    size_t bytes = strlen(word);
    return strncmp(key, word, bytes) == 0 && key[bytes] == '.' ? key + bytes + 1 : NULL;
}

/* "runtime.<name>.<option>", or of a connector */
static bool is_option_key(const char *key)
{
    const char *name = behind_kind(key, AD_KIND_RUNTIME);
    name = name != NULL ? name : behind_kind(key, AD_KIND_CONNECTOR);
    if (name == NULL) {
        return false;
    }
    const char *dot = strchr(name, '.');
    if (dot == NULL || !ad_name_valid((struct ad_slice){name, (size_t)(dot - name)})) {
        return false;
    }
    const char *option = dot + 1;
    return option[0] != '\0' &&
           option[strspn(option, "abcdefghijklmnopqrstuvwxyz0123456789_-.")] == '\0';
}

static int check(struct reader *r, const char *key, const char *value)
{
    if (is_option_key(key)) {
        return 0;
    }
    if (strcmp(key, "runtime") == 0) {
        return check_runtime(r, value);
    }
    if (strcmp(key, "connector") == 0) {
        return check_connector(r, value);
    }
    if (strcmp(key, "workers") == 0) {
        return check_workers(r, value);
    }
    if (strcmp(key, "plugin_directory") == 0) {
        return value[0] == '/'
                   ? 0
                   : wrong(r, "plugin_directory is not an absolute path:", ad_slice_of(value));
    }
    wrong(r, "unknown key", ad_slice_of(key));
    ad_error_hint(r->error, "The keys are runtime, connector, workers, plugin_directory, "
                            "runtime.<name>.<option> and connector.<name>.<option>.");
    return AIODUCT_E_CONFIG;
}

static int add(struct reader *r, const char *key, const char *value)
{
    struct ad_config *config = r->config;
    const struct entry *before = find(config, key);
    if (before != NULL && strcmp(key, "plugin_directory") != 0) {
        return ad_plugin_fail(r->error, AIODUCT_E_CONFIG, "%s:%u: '%s' was set in line %u already",
                              config->path, r->line, key, before->line);
    }
    int code = check(r, key, value);
    if (code < 0) {
        return code;
    }
    if (config->count == config->capacity) {
        unsigned capacity = config->capacity == 0 ? 8 : config->capacity * 2;
        struct entry *grown = ad_realloc(config->entries, capacity * sizeof *grown);
        if (grown == NULL) {
            return ad_plugin_fail_memory(r->error);
        }
        config->entries = grown;
        config->capacity = capacity;
    }
    struct entry *entry = &config->entries[config->count++];
    entry->key = key;
    entry->value = value;
    entry->line = r->line;
    atomic_init(&entry->asked, false);
    return 0;
}

static struct ad_slice without_comment(struct ad_slice line)
{
    for (size_t i = 0; i < line.bytes; i++) {
        if (line.p[i] == '#' && (i == 0 || line.p[i - 1] == ' ' || line.p[i - 1] == '\t')) {
            return (struct ad_slice){line.p, i};
        }
    }
    return line;
}

/* @line is writable, and a byte follows it. */
static int parse_line(struct reader *r, char *start, size_t bytes)
{
    struct ad_slice line = {start, bytes};
    if (memchr(start, '\0', bytes) != NULL) {
        return ad_plugin_fail(r->error, AIODUCT_E_CONFIG, "%s:%u: a NUL byte; not a text file",
                              r->config->path, r->line);
    }
    if (bytes > LINE_BYTES_MAX) {
        return ad_plugin_fail(r->error, AIODUCT_E_CONFIG,
                              "%s:%u: the line has %zu bytes; the limit is %d", r->config->path,
                              r->line, bytes, LINE_BYTES_MAX);
    }
    if (line.bytes > 0 && line.p[line.bytes - 1] == '\r') {
        line.bytes--;
    }
    line = ad_slice_trim(without_comment(line));
    if (line.bytes == 0) {
        return 0;
    }
    const char *equals = memchr(line.p, '=', line.bytes);
    if (equals == NULL) {
        wrong(r, "not a \"key = value\" line:", line);
        ad_error_hint(r->error, "A line sets one key, as in: runtime = epoll. Comments begin with "
                                "#.");
        return AIODUCT_E_CONFIG;
    }
    struct ad_slice key = ad_slice_trim((struct ad_slice){line.p, (size_t)(equals - line.p)});
    struct ad_slice value =
        ad_slice_trim((struct ad_slice){equals + 1, (size_t)(line.p + line.bytes - (equals + 1))});
    if (key.bytes == 0) {
        return wrong(r, "no key before '=':", line);
    }
    /* The byte after each is '=', a blank, or the end of the line: nothing that is still needed. */
    start[key.p + key.bytes - start] = '\0';
    start[value.p + value.bytes - start] = '\0';
    return add(r, key.p, value.p);
}

static int parse(struct ad_config *config, size_t bytes, struct aioduct_error *error)
{
    struct reader r = {.config = config, .error = error};
    char *at = config->text, *end = config->text + bytes;
    int code = 0;
    while (code == 0 && at < end) {
        char *newline = memchr(at, '\n', (size_t)(end - at));
        char *stop = newline == NULL ? end : newline;
        r.line++;
        code = parse_line(&r, at, (size_t)(stop - at));
        at = stop + 1;
    }
    return code;
}

/* ---- one file ---- */

static int cannot_read(const char *path, int code, struct aioduct_error *error)
{
    ad_plugin_fail(error, code, "cannot read the configuration file %s: %s", path,
                   aioduct_error_text(code));
    ad_error_hint(error, "Check the path and its permissions.");
    return code;
}

/* -> bytes read, up to @capacity, or -errno */
static ssize_t read_all(int fd, char *buffer, size_t capacity)
{
    size_t bytes = 0;
    while (bytes < capacity) {
        ssize_t got = read(fd, buffer + bytes, capacity - bytes);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return -errno;
        }
        if (got == 0) {
            break;
        }
        bytes += (size_t)got;
    }
    return (ssize_t)bytes;
}

/* Whoever writes this file has this program load code. */
static int check_writers(const char *path, const struct stat *st, struct aioduct_error *error)
{
    char text[64];
    const char *why = S_ISREG(st->st_mode) ? ad_place_unsafe(st, text) : NULL;
    if (why == NULL) {
        return 0;
    }
    ad_plugin_fail(error, AIODUCT_E_CONFIG, "refusing the configuration file %s: %s", path, why);
    ad_error_hint(error, "It can name plugins to load. Make it owned by root or by this user and "
                         "not writable by others (chmod go-w).");
    return AIODUCT_E_CONFIG;
}

static int read_text(struct ad_config *config, int fd, struct aioduct_error *error)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        return cannot_read(config->path, -errno, error);
    }
    if (S_ISDIR(st.st_mode)) {
        return cannot_read(config->path, -EISDIR, error);
    }
    if (!S_ISREG(st.st_mode) && !S_ISCHR(st.st_mode)) {
        return ad_plugin_fail(error, AIODUCT_E_CONFIG,
                              "the configuration file %s is not a regular file", config->path);
    }
    int code = check_writers(config->path, &st, error);
    if (code < 0) {
        return code;
    }
    config->text = ad_alloc(FILE_BYTES_MAX + 2);
    if (config->text == NULL) {
        return ad_plugin_fail_memory(error);
    }
    ssize_t bytes = read_all(fd, config->text, FILE_BYTES_MAX + 1);
    if (bytes < 0) {
        return cannot_read(config->path, (int)bytes, error);
    }
    if (bytes > FILE_BYTES_MAX) {
        return ad_plugin_fail(error, AIODUCT_E_CONFIG,
                              "the configuration file %s is larger than %d bytes", config->path,
                              FILE_BYTES_MAX);
    }
    config->text[bytes] = '\0';
    return parse(config, (size_t)bytes, error);
}

/* 0, or the error; -ENOENT with @error untouched if @optional and there is no such file. */
static int read_file(struct ad_config *config, const char *path, bool optional,
                     struct aioduct_error *error)
{
    /* Not blocking: a FIFO without a writer must not hang the program. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        int code = -errno;
        struct stat st;
        /* A home directory that may not be searched (a service that gave up its rights) says
         * nothing about the file; a file that is there and may not be read is an error. */
        if (optional &&
            (code == -ENOENT || code == -ENOTDIR || (code == -EACCES && lstat(path, &st) < 0))) {
            return -ENOENT;
        }
        return cannot_read(path, code, error);
    }
    config->path = ad_strdup(path);
    int code = config->path == NULL ? ad_plugin_fail_memory(error) : read_text(config, fd, error);
    close(fd);
    if (code == 0) {
        ad_plugin_trace("configuration file %s", path);
    }
    return code;
}

static int read_user_file(struct ad_config *config, struct aioduct_error *error)
{
    char path[PATH_MAX];
    const char *base = ad_env_get("XDG_CONFIG_HOME"), *below = "";
    if (base == NULL || base[0] != '/') { /* its specification has relative ones ignored */
        base = ad_env_get("HOME");
        below = "/.config";
    }
    if (base == NULL || base[0] != '/') {
        return -ENOENT;
    }
    int bytes = snprintf(path, sizeof path, "%s%s/" USER_FILE, base, below);
    return (size_t)bytes < sizeof path ? read_file(config, path, true, error) : -ENOENT;
}

static int read_default(struct ad_config *config, struct aioduct_error *error)
{
    int code = ad_env_secure() ? -ENOENT : read_user_file(config, error);
    if (code == -ENOENT) {
        code = read_file(config, SYSTEM_FILE, true, error);
    }
    return code == -ENOENT ? 0 : code;
}

int ad_config_read(const char *path, struct ad_config **out, struct aioduct_error *error)
{
    if (ad_env_read() < 0) {
        return ad_plugin_fail_memory(error);
    }
    int code = ad_log_open(error); /* whatever a program does, it comes by here first */
    if (code < 0) {
        return code;
    }
    if (path == NULL) {
        path = ad_env_get("AIODUCT_CONFIG");
    }
    struct ad_config *config = ad_zalloc(sizeof *config);
    if (config == NULL) {
        return ad_plugin_fail_memory(error);
    }
    if (path == NULL) {
        code = read_default(config, error);
    } else if (path[0] != '\0') {
        code = read_file(config, path, false, error);
    }
    if (code < 0) {
        ad_config_destroy(config);
        return code;
    }
    *out = config;
    return 0;
}

void ad_config_destroy(struct ad_config *config)
{
    if (config == NULL) {
        return;
    }
    ad_free(config->entries);
    ad_free(config->text);
    ad_free(config->path);
    ad_free(config);
}

/* ---- what it says ---- */

static const char *value_of(const struct ad_config *config, const char *key, unsigned *out_line)
{
    const struct entry *entry = find(config, key);
    if (entry == NULL) {
        return NULL;
    }
    if (out_line != NULL) {
        *out_line = entry->line;
    }
    return entry->value;
}

const char *ad_config_runtime(const struct ad_config *config, unsigned *out_line)
{
    return value_of(config, "runtime", out_line);
}

const char *ad_config_connector(const struct ad_config *config, unsigned *out_line)
{
    return value_of(config, "connector", out_line);
}

int ad_config_workers(const struct ad_config *config)
{
    return config == NULL ? 0 : config->workers;
}

const char *ad_config_path(const struct ad_config *config)
{
    return config == NULL || config->path == NULL ? "" : config->path;
}

const char *ad_config_plugin_directory(const struct ad_config *config, unsigned i,
                                       unsigned *out_line)
{
    for (unsigned n = 0; config != NULL && n < config->count; n++) {
        if (strcmp(config->entries[n].key, "plugin_directory") == 0 && i-- == 0) {
            *out_line = config->entries[n].line;
            return config->entries[n].value;
        }
    }
    return NULL;
}

/* The part of @full behind "runtime.<plugin>."; NULL: it is no option of @plugin. */
static const char *option_of(const char *full, enum ad_kind kind, const char *plugin)
{
    const char *name = behind_kind(full, kind);
    size_t bytes = strlen(plugin);
    return name != NULL && strncmp(name, plugin, bytes) == 0 && name[bytes] == '.'
               ? name + bytes + 1
               : NULL;
}

const char *ad_config_option(const struct ad_config *config, enum ad_kind kind, const char *plugin,
                             const char *key)
{
    for (unsigned i = 0; config != NULL && i < config->count; i++) {
        const char *option = option_of(config->entries[i].key, kind, plugin);
        if (option != NULL && strcmp(option, key) == 0) {
            atomic_store_explicit(&config->entries[i].asked, true, memory_order_relaxed);
            return config->entries[i].value;
        }
    }
    return NULL;
}

int ad_config_check_options(const struct ad_config *config, enum ad_kind kind, const char *plugin,
                            struct aioduct_error *error)
{
    for (unsigned i = 0; config != NULL && i < config->count; i++) {
        const struct entry *entry = &config->entries[i];
        const char *option = option_of(entry->key, kind, plugin);
        if (option != NULL && !atomic_load_explicit(&entry->asked, memory_order_relaxed)) {
            return ad_plugin_fail(error, AIODUCT_E_CONFIG, "%s:%u: the %s '%s' has no option '%s'",
                                  config->path, entry->line, ad_kind_word(kind), plugin, option);
        }
    }
    return 0;
}

void ad_config_each_idle_option(const struct ad_config *config, const char *chosen,
                                void (*tell)(const char *source, const char *what, void *user),
                                void *user)
{
    static const char prefix[] = "runtime.";
    char source[512], what[256];
    for (unsigned i = 0; config != NULL && i < config->count; i++) {
        const struct entry *entry = &config->entries[i];
        if (strncmp(entry->key, prefix, sizeof prefix - 1) == 0 &&
            option_of(entry->key, AD_KIND_RUNTIME, chosen) == NULL) {
            snprintf(source, sizeof source, "%.490s:%u", config->path, entry->line);
            snprintf(what, sizeof what, "%.160s: the runtime is '%.40s'", entry->key, chosen);
            tell(source, what, user);
        }
    }
}

unsigned ad_config_line_of(const struct ad_config *config, enum ad_kind kind, const char *plugin,
                           const char *text)
{
    unsigned line = 0;
    size_t longest = 0; /* of two names in one, the longer is meant */
    for (unsigned i = 0; config != NULL && i < config->count; i++) {
        const char *option = option_of(config->entries[i].key, kind, plugin);
        if (option != NULL && strlen(option) > longest && strstr(text, option) != NULL) {
            longest = strlen(option);
            line = config->entries[i].line;
        }
    }
    return line;
}
