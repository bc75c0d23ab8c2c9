/* SPDX-License-Identifier: MIT */
#include "plugin/place.h"

#include "base/environment.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "plugin/config.h"
#include "plugin/name.h"
#include "plugin/register.h"
#include "plugin/text.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    /* The file's own name, with the longest name of a runtime, still fits into a path. */
    DIRECTORY_BYTES_MAX =
        PATH_MAX - AD_KIND_PREFIX_BYTES - (int)sizeof AD_NAME_FILE_SUFFIX - AD_NAME_BYTES_MAX - 1,
    FILES_MAX = 1024 /* plugins of one directory that a listing shows; a real one has ten */
};

/* ---- search places ---- */

static int add(struct ad_places *places, const char *directory, size_t bytes, const char *source,
               struct aioduct_error *error)
{
    if (bytes == 0 || directory[0] != '/' || bytes > DIRECTORY_BYTES_MAX) {
        ad_plugin_fail(error, AIODUCT_E_PLUGIN_NAME, "%s: '%.*s' is %s", source,
                       bytes > 200 ? 200 : (int)bytes, directory,
                       bytes > DIRECTORY_BYTES_MAX ? "too long a path" : "not an absolute path");
        ad_error_hint(error, "Plugins are loaded from absolute directories only.");
        return AIODUCT_E_PLUGIN_NAME;
    }
    while (bytes > 1 && directory[bytes - 1] == '/') {
        bytes--;
    }
    for (unsigned i = 0; i < places->count; i++) {
        if (strncmp(places->directories[i], directory, bytes) == 0 &&
            places->directories[i][bytes] == '\0') {
            return 0;
        }
    }
    if (places->count == places->capacity) {
        unsigned capacity = places->capacity == 0 ? 8 : places->capacity * 2;
        char **grown = ad_realloc(places->directories, capacity * sizeof *grown);
        if (grown == NULL) {
            return ad_plugin_fail_memory(error);
        }
        places->directories = grown;
        places->capacity = capacity;
    }
    places->directories[places->count] = ad_strndup(directory, bytes);
    if (places->directories[places->count] == NULL) {
        return ad_plugin_fail_memory(error);
    }
    places->count++;
    return 0;
}

/* The directory aioduct-1/ beside the shared library that this code is in. A program that links it
 * statically has no such place. */
static int add_beside(struct ad_places *places, struct aioduct_error *error)
{
    static const char below[] = "/aioduct-1";
    char path[PATH_MAX];
    Dl_info info;
    struct link_map *map = NULL;
    if (!AD_PLUGIN_BESIDE_LIBRARY ||
        dladdr1((const void *)(uintptr_t)ad_places_init, &info, (void **)&map, RTLD_DL_LINKMAP) ==
            0 ||
        map == NULL || map->l_name[0] != '/') {
        return 0;
    }
    const char *slash = strrchr(map->l_name, '/');
    int bytes =
        snprintf(path, sizeof path, "%.*s%s", (int)(slash - map->l_name), map->l_name, below);
    if (bytes < 0 || (size_t)bytes >= sizeof path) {
        return 0;
    }
    return add(places, path, (size_t)bytes, "the library's own directory", error);
}

static int add_defaults(struct ad_places *places, struct aioduct_error *error)
{
    int code = ad_env_secure() ? 0 : add_beside(places, error);
    return code < 0 ? code
                    : add(places, AD_PLUGIN_DIR, sizeof AD_PLUGIN_DIR - 1, "plugin_dir", error);
}

static int add_variable(struct ad_places *places, struct aioduct_error *error)
{
    const char *at = ad_env_get("AIODUCT_PLUGIN_PATH");
    int code = 0;
    while (code == 0 && at != NULL) {
        const char *end = strchrnul(at, ':');
        code = end == at ? add_defaults(places, error)
                         : add(places, at, (size_t)(end - at), "AIODUCT_PLUGIN_PATH", error);
        at = *end == ':' ? end + 1 : NULL;
    }
    return code;
}

static int look_for(const char *directory)
{
    struct stat st;
    return stat(directory, &st) < 0 ? -errno : S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

/* One file may serve machines that do not all have that directory, so it is no error; but it may
 * also be a slip of the pen. */
static void check_configured(const char *directory, const char *file, unsigned at)
{
    char line[700];
    int code = look_for(directory);
    if (code == 0) {
        return;
    }
    snprintf(line, sizeof line, "%.300s:%u: plugin_directory %.300s: %s", file, at, directory,
             aioduct_error_text(code));
    if (ad_plugin_say_once(line)) {
        ad_log(AD_LOG_WARNING, line);
    }
}

static int fill(struct ad_places *places, const struct ad_config *config,
                struct aioduct_error *error)
{
    const char *directory;
    unsigned line = 0;
    int code = 0;
    if (!ad_registry_loading()) {
        return 0;
    }
    if (ad_env_secure()) {
        return add_defaults(places, error);
    }
    for (unsigned i = 0; code == 0 && (directory = ad_registry_directory(i)) != NULL; i++) {
        code = add(places, directory, strlen(directory), "aioduct_plugin_directory_add", error);
    }
    for (unsigned i = 0;
         code == 0 && (directory = ad_config_plugin_directory(config, i, &line)) != NULL; i++) {
        check_configured(directory, ad_config_path(config), line);
        code = add(places, directory, strlen(directory), ad_config_path(config), error);
    }
    code = code < 0 ? code : add_variable(places, error);
    return code < 0 ? code : add_defaults(places, error);
}

int ad_places_init(struct ad_places *out, const struct ad_config *config,
                   struct aioduct_error *error)
{
    *out = (struct ad_places){0};
    if (ad_env_read() < 0) {
        return ad_plugin_fail_memory(error);
    }
    int code = fill(out, config, error);
    if (code < 0) {
        ad_places_fini(out);
        return code;
    }
    for (unsigned i = 0; i < out->count; i++) {
        ad_plugin_trace("place %u: %s", i + 1, out->directories[i]);
    }
    return 0;
}

void ad_places_fini(struct ad_places *places)
{
    for (unsigned i = 0; i < places->count; i++) {
        ad_free(places->directories[i]);
    }
    ad_free(places->directories);
    *places = (struct ad_places){0};
}

static void tell_if_absent(const char *source, const char *directory,
                           void (*tell)(const char *source, const char *what, void *user),
                           void *user)
{
    char what[PATH_MAX + 128];
    int code = directory[0] == '/' ? look_for(directory) : 0; /* else refused, with a reason */
    if (code < 0) {
        snprintf(what, sizeof what, "%s: %s", directory, aioduct_error_text(code));
        tell(source, what, user);
    }
}

void ad_places_each_absent(const struct ad_config *config,
                           void (*tell)(const char *source, const char *what, void *user),
                           void *user)
{
    char source[512], element[PATH_MAX];
    const char *directory;
    unsigned line = 0;
    if (!ad_registry_loading() || ad_env_secure()) {
        return;
    }
    for (unsigned i = 0; (directory = ad_config_plugin_directory(config, i, &line)) != NULL; i++) {
        snprintf(source, sizeof source, "%.490s:%u", ad_config_path(config), line);
        tell_if_absent(source, directory, tell, user);
    }
    for (const char *at = ad_env_get("AIODUCT_PLUGIN_PATH"); at != NULL;) {
        const char *end = strchrnul(at, ':');
        if (end != at) {
            snprintf(element, sizeof element, "%.*s", (int)(end - at), at);
            tell_if_absent("AIODUCT_PLUGIN_PATH", element, tell, user);
        }
        at = *end == ':' ? end + 1 : NULL;
    }
}

void ad_place_file(char path[PATH_MAX], const char *directory, enum ad_kind kind, const char *name)
{
    snprintf(path, PATH_MAX, "%s/%s%s" AD_NAME_FILE_SUFFIX, directory[1] == '\0' ? "" : directory,
             ad_kind_prefix(kind), name);
}

static int is_runtime_file(const struct dirent *entry)
{
    return ad_name_of_file(AD_KIND_RUNTIME, entry->d_name).p != NULL;
}

static int is_connector_file(const struct dirent *entry)
{
    return ad_name_of_file(AD_KIND_CONNECTOR, entry->d_name).p != NULL;
}

int ad_place_each(const char *directory, enum ad_kind kind,
                  int (*visit)(const char *file, void *user), void *user)
{
    struct dirent **entries = NULL;
    int count = scandir(directory, &entries,
                        kind == AD_KIND_CONNECTOR ? is_connector_file : is_runtime_file, alphasort);
    int result = 0;
    for (int i = 0; i < count; i++) {
        if (result == 0 && i < FILES_MAX) {
            result = visit(entries[i]->d_name, user);
        }
        free(entries[i]);
    }
    free(entries);
    return result;
}

/* ---- safety ---- */

const char *ad_place_unsafe(const struct stat *st, char text[64])
{
    bool secure = ad_env_secure();
    if (st->st_uid != 0 && (secure || st->st_uid != geteuid())) {
        snprintf(text, 64, "owned by user %u, neither root nor the user of this process",
                 (unsigned)st->st_uid);
        return text;
    }
    if (st->st_mode & S_IWOTH) {
        return "world-writable";
    }
    return (st->st_mode & S_IWGRP) && st->st_uid != 0 ? "group-writable" : NULL;
}

/* @what is the file @path, or a directory that it is found through. */
static int check_owner(const char *what, const struct stat *st, const char *path, bool named,
                       struct aioduct_error *error)
{
    char text[64];
    const char *why = ad_place_unsafe(st, text);
    if (why == NULL) {
        return 0;
    }
    if (named && !ad_env_secure()) {
        ad_logf(AD_LOG_WARNING, "%s is %s; loading %s because the program names it", what, why,
                path);
        return 0;
    }
    const char *file = strrchr(path, '/') + 1;
    ad_plugin_fail(error, AIODUCT_E_PLUGIN_UNSAFE, "refusing %s: %s%s%s%s", what, why,
                   what == path ? "" : " (it holds ", what == path ? "" : file,
                   what == path ? "" : ")");
    ad_error_hint(error,
                  "Make it owned by root or by this user and not writable by others (chmod go-w), "
                  "or have the program name the file by its absolute path.");
    return AIODUCT_E_PLUGIN_UNSAFE;
}

/* The directory part of the absolute path @path. */
static int check_directory(const char *path, const char *named_as, bool named,
                           struct aioduct_error *error)
{
    char directory[PATH_MAX];
    struct stat st;
    size_t bytes = (size_t)(strrchr(path, '/') - path);
    if (bytes == 0) {
        bytes = 1;
    }
    memcpy(directory, path, bytes);
    directory[bytes] = '\0';
    if (stat(directory, &st) < 0) {
        return ad_plugin_fail(error, AIODUCT_E_PLUGIN_INVALID, "cannot look at %s: %s", directory,
                              aioduct_error_text(-errno));
    }
    return check_owner(directory, &st, named_as, named, error);
}

static int not_a_file(const char *path, mode_t mode, struct aioduct_error *error)
{
    const char *kind = S_ISDIR(mode)    ? "a directory"
                       : S_ISFIFO(mode) ? "a FIFO"
                       : S_ISSOCK(mode) ? "a socket"
                                        : "a device";
    return ad_plugin_fail(error, AIODUCT_E_PLUGIN_INVALID,
                          "%s is %s, not a plugin file; not loaded", path, kind);
}

int ad_place_check(const char *path, bool named, struct stat *out, struct aioduct_error *error)
{
    char real[PATH_MAX];
    struct stat st;
    if (lstat(path, &st) < 0) {
        if (errno == ENOENT || errno == ENOTDIR) {
            return -ENOENT;
        }
        return ad_plugin_fail(error, AIODUCT_E_PLUGIN_INVALID, "cannot look at %s: %s", path,
                              aioduct_error_text(-errno));
    }
    bool link = S_ISLNK(st.st_mode);
    if (link && stat(path, &st) < 0) {
        ad_plugin_fail(error, AIODUCT_E_PLUGIN_INVALID,
                       "%s is a symbolic link that leads nowhere: %s", path,
                       aioduct_error_text(-errno));
        ad_error_hint(error, "Remove the link, or install what it points to.");
        return AIODUCT_E_PLUGIN_INVALID;
    }
    if (!S_ISREG(st.st_mode)) {
        return not_a_file(path, st.st_mode, error);
    }
    int code = check_directory(path, path, named, error);
    if (code == 0 && link) {
        code = realpath(path, real) != NULL
                   ? check_directory(real, path, named, error)
                   : ad_plugin_fail(error, AIODUCT_E_PLUGIN_INVALID, "cannot look at %s: %s", path,
                                    aioduct_error_text(-errno));
    }
    code = code < 0 ? code : check_owner(path, &st, path, named, error);
    if (code == 0) {
        *out = st;
    }
    return code;
}
