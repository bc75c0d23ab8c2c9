/* SPDX-License-Identifier: MIT */
#include "plugin/name.h"

#include "base/error.h"
#include "plugin/text.h"

#include <stdio.h>
#include <string.h>

/* Fastest first. Each is probed, so that a machine without io_uring gets the next; epoll is linked
 * in and always runs. */
static const char *const automatic_order[] = {"uring", "libev", "libevent", "epoll"};

static const char grammar_hint[] =
    "A runtime is named by [a-z0-9][a-z0-9_-]{0,31}; also a comma-separated list of names, auto, "
    "or the absolute path of a libaioduct-rt-<name>.so.";

static const char chain_hint[] =
    "Connectors are named by [a-z0-9][a-z0-9_-]{0,31} or by the absolute path of a "
    "libaioduct-cx-<name>.so, with commas between, the outermost first; none: no connector.";

/* ---- kinds ---- */

const char *ad_kind_word(enum ad_kind kind)
{
    return kind == AD_KIND_CONNECTOR ? "connector" : "runtime";
}

const char *ad_kind_prefix(enum ad_kind kind)
{
    return kind == AD_KIND_CONNECTOR ? "libaioduct-cx-" : "libaioduct-rt-";
}

enum ad_kind ad_kind_of_path(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *file = slash == NULL ? path : slash + 1;
    return strncmp(file, ad_kind_prefix(AD_KIND_CONNECTOR), AD_KIND_PREFIX_BYTES) == 0
               ? AD_KIND_CONNECTOR
               : AD_KIND_RUNTIME;
}

/* ---- names ---- */

static bool is_word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool ad_name_valid(struct ad_slice name)
{
    if (name.bytes == 0 || name.bytes > AD_NAME_BYTES_MAX || !is_word_char(name.p[0])) {
        return false;
    }
    for (size_t i = 1; i < name.bytes; i++) {
        if (!is_word_char(name.p[i]) && name.p[i] != '_' && name.p[i] != '-') {
            return false;
        }
    }
    return true;
}

struct ad_slice ad_name_of_file(enum ad_kind kind, const char *file)
{
    const size_t prefix = AD_KIND_PREFIX_BYTES, suffix = sizeof AD_NAME_FILE_SUFFIX - 1;
    size_t bytes = strlen(file);
    if (bytes < prefix + suffix || memcmp(file, ad_kind_prefix(kind), prefix) != 0 ||
        memcmp(file + bytes - suffix, AD_NAME_FILE_SUFFIX, suffix) != 0) {
        return (struct ad_slice){NULL, 0};
    }
    return (struct ad_slice){file + prefix, bytes - prefix - suffix};
}

/* ---- which runtime ---- */

static int refuse(struct aioduct_error *error, struct ad_slice what, const char *why)
{
    int shown = what.bytes > 200 ? 200 : (int)what.bytes;
    ad_plugin_fail(error, AIODUCT_E_PLUGIN_NAME, "'%.*s' %s", shown, what.p, why);
    ad_error_hint(error, "%s", grammar_hint);
    return AIODUCT_E_PLUGIN_NAME;
}

static int add_name(struct ad_choice *choice, struct ad_slice name, struct ad_slice word,
                    struct aioduct_error *error)
{
    for (unsigned i = 0; i < choice->count; i++) {
        if (ad_slice_equal(ad_slice_of(choice->names[i]), name)) {
            return 0;
        }
    }
    if (choice->count == AD_CHOICE_MAX) {
        return refuse(error, word, "lists more than 16 runtimes");
    }
    memcpy(choice->names[choice->count], name.p, name.bytes);
    choice->names[choice->count][name.bytes] = '\0';
    choice->count++;
    return 0;
}

static int add_automatic(struct ad_choice *choice, struct ad_slice word,
                         struct aioduct_error *error)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < sizeof automatic_order / sizeof automatic_order[0]; i++) {
        code = add_name(choice, ad_slice_of(automatic_order[i]), word, error);
    }
    return code;
}

static int add_element(struct ad_choice *choice, struct ad_slice element, struct ad_slice word,
                       struct aioduct_error *error)
{
    if (ad_slice_equal(element, ad_slice_of("auto"))) {
        return add_automatic(choice, word, error);
    }
    if (ad_name_valid(element)) {
        return add_name(choice, element, word, error);
    }
    if (element.bytes == 0 && word.bytes > 0) {
        return refuse(error, word, "has an empty element");
    }
    if (element.bytes > 0 && memchr(element.p, '/', element.bytes) != NULL) {
        return refuse(error, element,
                      element.p[0] == '/' ? "is a path inside a list" : "is a relative path");
    }
    return refuse(error, element, "is not the name of a runtime");
}

static int parse_path(struct ad_choice *choice, struct ad_slice word, struct aioduct_error *error)
{
    struct ad_slice name = ad_name_of_file(AD_KIND_RUNTIME, strrchr(word.p, '/') + 1);
    choice->order = true;
    choice->path = word.p;
    return ad_name_valid(name)
               ? 0
               : refuse(error, word, "is not the path of a file called libaioduct-rt-<name>.so");
}

int ad_choice_parse(const char *word, struct ad_choice *out, struct aioduct_error *error)
{
    struct ad_slice whole = ad_slice_of(word == NULL ? "auto" : word);
    struct ad_slice rest = whole;
    *out = (struct ad_choice){
        .automatic = ad_slice_equal(ad_slice_trim(whole), ad_slice_of("auto")),
        .order = memchr(whole.p, ',', whole.bytes) == NULL,
    };
    if (whole.bytes > 0 && whole.p[0] == '/') {
        return parse_path(out, whole, error);
    }
    for (;;) {
        const char *comma = memchr(rest.p, ',', rest.bytes);
        size_t bytes = comma == NULL ? rest.bytes : (size_t)(comma - rest.p);
        struct ad_slice element = ad_slice_trim((struct ad_slice){rest.p, bytes});
        int code = add_element(out, element, whole, error);
        if (code < 0) {
            return code;
        }
        if (comma == NULL) {
            break;
        }
        rest = (struct ad_slice){comma + 1, rest.bytes - bytes - 1};
    }
    out->order = out->order && !out->automatic;
    return 0;
}

/* ---- which connectors ---- */

static int refuse_chain(struct aioduct_error *error, struct ad_slice what, const char *why)
{
    refuse(error, what, why);
    ad_error_hint(error, "%s", chain_hint);
    return AIODUCT_E_PLUGIN_NAME;
}

static int check_chain_element(struct ad_slice element, struct ad_slice word,
                               struct aioduct_error *error)
{
    char file[64];
    if (element.bytes == 0) {
        return refuse_chain(error, word, "has an empty element");
    }
    const char *slash = memrchr(element.p, '/', element.bytes);
    if (slash == NULL) {
        return ad_name_valid(element)
                   ? 0
                   : refuse_chain(error, element, "is not the name of a connector");
    }
    if (element.p[0] != '/') {
        return refuse_chain(error, element, "is a relative path");
    }
    size_t bytes = (size_t)(element.p + element.bytes - (slash + 1));
    snprintf(file, sizeof file, "%.*s", (int)(bytes < sizeof file ? bytes : 0), slash + 1);
    return ad_name_valid(ad_name_of_file(AD_KIND_CONNECTOR, file))
               ? 0
               : refuse_chain(error, element,
                              "is not the path of a file called libaioduct-cx-<name>.so");
}

int ad_chain_parse(const char *word, struct ad_chain_word *out, struct aioduct_error *error)
{
    struct ad_slice whole = ad_slice_trim(ad_slice_of(word)), rest = whole;
    out->count = 0;
    if (whole.bytes == 0 || ad_slice_equal(whole, ad_slice_of("none"))) {
        return 0;
    }
    for (;;) {
        const char *comma = memchr(rest.p, ',', rest.bytes);
        size_t bytes = comma == NULL ? rest.bytes : (size_t)(comma - rest.p);
        struct ad_slice element = ad_slice_trim((struct ad_slice){rest.p, bytes});
        int code = check_chain_element(element, whole, error);
        if (code < 0) {
            return code;
        }
        if (out->count == AD_CHAIN_MAX) {
            return refuse_chain(error, whole, "lists more than 8 connectors");
        }
        out->elements[out->count++] = element;
        if (comma == NULL) {
            return 0;
        }
        rest = (struct ad_slice){comma + 1, rest.bytes - bytes - 1};
    }
}
