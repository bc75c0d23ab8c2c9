/* SPDX-License-Identifier: MIT */
/* Nothing is ever unloaded: threads and exit handlers of a loop library may outlive every client.
 * So records live as long as the process, and a pointer to one needs no lock. */
#include "plugin/load.h"

#include "base/error.h"
#include "base/mem.h"
#include "plugin/guard.h"
#include "plugin/place.h"
#include "plugin/tables.h"
#include "plugin/text.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>

struct record {
    struct record *next;
    struct ad_plugin plugin;
    void *handle;
    dev_t device; /* device and inode: another path to the same file gives this record */
    ino_t inode;
    char path[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct record *records;

static struct record *find_locked(const struct stat *st)
{
    struct record *r = records;
    while (r != NULL && (r->device != st->st_dev || r->inode != st->st_ino)) {
        r = r->next;
    }
    return r;
}

/* The loader knows a file that was replaced under its path as the old one: so do we. */
static struct record *find_handle_locked(const void *handle)
{
    struct record *r = records;
    while (r != NULL && r->handle != handle) {
        r = r->next;
    }
    return r;
}

/* ---- before loading ---- */

static int check_file_name(const char *path, const char *name, struct aioduct_error *error)
{
    const char *file = strrchr(path, '/') + 1;
    enum ad_kind kind = ad_kind_of_path(path);
    if (ad_slice_equal(ad_name_of_file(kind, file), ad_slice_of(name))) {
        return 0;
    }
    ad_plugin_fail(error, AIODUCT_E_PLUGIN_INVALID,
                   "%s: the names disagree: file %s, plugin '%s'; not loaded", path, file, name);
    ad_error_hint(error, "Name the file %s%s" AD_NAME_FILE_SUFFIX ".", ad_kind_prefix(kind), name);
    return AIODUCT_E_PLUGIN_INVALID;
}

int ad_load_read(const char *path, struct ad_note *note, struct aioduct_error *error)
{
    int code = ad_elf_read(path, note, error);
    if (code < 0) {
        return code;
    }
    ad_plugin_trace("%s: note abi=%u.%u needs=%u name=%s", path, note->abi_major, note->abi_minor,
                    note->needs, note->name);
    code = ad_tables_check_abi(note->abi_major, note->needs, note->abi_minor, path, error);
    code = code < 0 ? code : check_file_name(path, note->name, error);
    enum ad_kind kind = ad_kind_of_path(path);
    if (code == 0 && !(note->caps & ad_plugin_cap(kind))) {
        code = ad_plugin_fail(error, AIODUCT_E_PLUGIN_INVALID,
                              "%s does not offer a %s (its note's caps); not loaded", path,
                              ad_kind_word(kind));
    }
    return code;
}

int ad_load_inspect(const char *path, bool named, struct ad_note *out_note,
                    struct aioduct_error *error)
{
    struct stat st;
    int code = ad_place_check(path, named, &st, error);
    return code < 0 ? code : ad_load_read(path, out_note, error);
}

/* ---- dlopen ---- */

/* glibc says "<object>: <what>[: <why>]", in the language of the process. An object without a slash
 * is a library that was not found by its name. */
static int explain(const char *path, const char *name, const char *said,
                   struct aioduct_error *error)
{
    const char *colon = strstr(said, ": ");
    int bytes = colon == NULL ? 0 : (int)(colon - said);
    if (bytes == 0 || bytes > 200 ||
        ad_slice_equal((struct ad_slice){said, (size_t)bytes}, ad_slice_of(path))) {
        return ad_plugin_fail(error, AIODUCT_E_PLUGIN_INVALID, "cannot load %s. dlerror: %s", path,
                              said);
    }
    const bool absent = memchr(said, '/', (size_t)bytes) == NULL;
    ad_plugin_fail(error, AIODUCT_E_PLUGIN_DEPENDENCY,
                   "%s '%s' needs %.*s, which %s (%s). dlerror: %s",
                   ad_kind_word(ad_kind_of_path(path)), name, bytes, said,
                   absent ? "is not installed" : "does not fit", path, said);
    if (absent) {
        ad_error_hint(error, "Install the package that has %.*s, or choose another %s.", bytes,
                      said, ad_kind_word(ad_kind_of_path(path)));
    } else {
        ad_error_hint(error, "Install the version of %.*s that the plugin was built with.", bytes,
                      said);
    }
    return AIODUCT_E_PLUGIN_DEPENDENCY;
}

static int find_entry(const char *path, void *handle, const struct aioduct_plugin **out,
                      struct aioduct_error *error)
{
    *out = dlsym(handle, "aioduct_plugin_entry_1");
    if (*out != NULL) {
        return 0;
    }
    if (dlsym(handle, "aioduct_plugin_entry_2") != NULL) {
        return ad_tables_check_abi(AIODUCT_ABI_MAJOR + 1, 0, 0, path, error);
    }
    ad_plugin_fail(error, AIODUCT_E_PLUGIN_INVALID,
                   "%s has no aioduct_plugin_entry_1 (is it exported?)", path);
    ad_error_hint(error, "A plugin ends with AIODUCT_PLUGIN_EXPORT(name) = { ... }.");
    return AIODUCT_E_PLUGIN_INVALID;
}

static int open_locked(struct record *r, const struct ad_note *note, struct aioduct_error *error)
{
    const struct aioduct_plugin *descriptor;
    r->handle = dlopen(r->path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (r->handle == NULL) {
        const char *said = dlerror();
        return explain(r->path, note->name, said == NULL ? "no reason" : said, error);
    }
    int code = find_entry(r->path, r->handle, &descriptor, error);
    code = code < 0 ? code : ad_tables_check_descriptor(descriptor, r->path, note, error);
    code = code < 0 ? code : ad_guard_check(descriptor, r->handle, error);
    r->plugin.descriptor = descriptor;
    return code;
}

/* Another thread may have been here while the tables were read: the first record stays. */
static const struct ad_plugin *publish(struct record *r)
{
    pthread_mutex_lock(&lock);
    struct record *first = find_handle_locked(r->handle);
    if (first == NULL) {
        r->next = records;
        records = r;
    }
    pthread_mutex_unlock(&lock);
    if (first == NULL) {
        return &r->plugin;
    }
    ad_free(r);
    return &first->plugin;
}

static int load(const char *path, const struct stat *st, const struct ad_note *note,
                const struct ad_plugin **out, struct aioduct_error *error)
{
    size_t bytes = strlen(path) + 1;
    struct record *r = ad_zalloc(sizeof *r + bytes);
    if (r == NULL) {
        return ad_plugin_fail_memory(error);
    }
    memcpy(r->path, path, bytes);
    r->device = st->st_dev;
    r->inode = st->st_ino;

    ad_plugin_trace("%s: dlopen", path);
    /* No log line and no function of a plugin under the lock: either may come back here. */
    pthread_mutex_lock(&lock);
    int code = open_locked(r, note, error);
    pthread_mutex_unlock(&lock);
    code = code < 0 ? code : ad_tables_copy(&r->plugin, r->plugin.descriptor, path, note, error);
    if (code < 0) {
        ad_free(r);
        return code;
    }
    r->plugin.origin = r->path;
    *out = publish(r);
    return 0;
}

int ad_load_file(const char *path, bool named, unsigned need, const struct ad_plugin **out,
                 struct aioduct_error *error)
{
    struct ad_note note;
    struct stat st;
    int code = ad_place_check(path, named, &st, error);
    if (code < 0) {
        return code;
    }
    pthread_mutex_lock(&lock);
    const struct record *known = find_locked(&st);
    pthread_mutex_unlock(&lock);
    if (known != NULL) {
        ad_plugin_trace("%s: loaded already, as %s", path, known->path);
        *out = &known->plugin;
        return check_file_name(path, known->plugin.name, error);
    }
    code = ad_load_read(path, &note, error);
    if (code == 0 && ad_kind_of_path(path) == AD_KIND_RUNTIME) {
        code = ad_tables_check_need(note.caps, need, note.name, path, error);
    }
    return code < 0 ? code : load(path, &st, &note, out, error);
}
