/* SPDX-License-Identifier: MIT */
#include "plugin/note.h"
#include "plugin/registry.h"

#include <string.h>

enum { HAS_ABI = 1, HAS_NEEDS = 2, HAS_NAME = 4, HAS_CAPS = 8 };

/* Take from @rest what stands before @separator, and the separator. */
static struct ad_slice cut(struct ad_slice *rest, char separator)
{
    const char *end = memchr(rest->p, separator, rest->bytes);
    struct ad_slice part = {rest->p, end == NULL ? rest->bytes : (size_t)(end - rest->p)};
    size_t taken = part.bytes + (end != NULL);
    rest->p += taken;
    rest->bytes -= taken;
    return part;
}

static bool number(struct ad_slice s, unsigned *out)
{
    uint64_t value;
    if (ad_slice_to_u64(s, UINT16_MAX, &value) < 0) {
        return false;
    }
    *out = (unsigned)value;
    return true;
}

static bool read_abi(struct ad_slice value, struct ad_note *out)
{
    struct ad_slice major = cut(&value, '.');
    return number(major, &out->abi_major) && number(value, &out->abi_minor);
}

static bool read_caps(struct ad_slice value, struct ad_note *out)
{
    static const struct {
        const char *word;
        unsigned cap;
    } known[] = {{"runtime", AD_CAP_RUNTIME},
                 {"poll", AD_CAP_POLL},
                 {"local", AD_CAP_LOCAL},
                 {"connector", AD_CAP_CONNECTOR}};
    while (value.bytes > 0) {
        struct ad_slice word = cut(&value, ',');
        if (!ad_name_valid(word)) {
            return false;
        }
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
            if (ad_slice_equal(word, ad_slice_of(known[i].word))) {
                out->caps |= known[i].cap;
            }
        }
    }
    return out->caps != 0;
}

static bool read_name(struct ad_slice value, struct ad_note *out)
{
    if (!ad_name_valid(value)) {
        return false;
    }
    memcpy(out->name, value.p, value.bytes);
    out->name[value.bytes] = '\0';
    return true;
}

/* -> what is wrong, or NULL */
static const char *read_pair(struct ad_slice key, struct ad_slice value, struct ad_note *out,
                             unsigned *seen)
{
    unsigned bit = 0;
    bool good = true;
    if (ad_slice_equal(key, ad_slice_of("abi"))) {
        bit = HAS_ABI;
        good = read_abi(value, out);
    } else if (ad_slice_equal(key, ad_slice_of("needs"))) {
        bit = HAS_NEEDS;
        good = number(value, &out->needs);
    } else if (ad_slice_equal(key, ad_slice_of("name"))) {
        bit = HAS_NAME;
        good = read_name(value, out);
    } else if (ad_slice_equal(key, ad_slice_of("caps"))) {
        bit = HAS_CAPS;
        good = read_caps(value, out);
    } /* other keys are news from a later minor */
    if (!good) {
        return bit == HAS_ABI     ? "its abi is not of the form 1.0"
               : bit == HAS_NEEDS ? "its needs is not a number"
               : bit == HAS_NAME  ? "its name is malformed"
                                  : "its caps name nothing that is known";
    }
    if (*seen & bit) {
        return "it says the same key twice";
    }
    *seen |= bit;
    return NULL;
}

static const char *parse(struct ad_slice text, struct ad_note *out, unsigned *seen)
{
    const char *wrong = NULL;
    while (wrong == NULL && text.bytes > 0) {
        struct ad_slice pair = cut(&text, ';');
        const char *equals = memchr(pair.p, '=', pair.bytes);
        if (equals == NULL || equals == pair.p) {
            return "it is not a list of key=value pairs";
        }
        size_t key = (size_t)(equals - pair.p);
        wrong = read_pair((struct ad_slice){pair.p, key},
                          (struct ad_slice){equals + 1, pair.bytes - key - 1}, out, seen);
        if (wrong == NULL && (*seen & HAS_ABI) && out->abi_major != AIODUCT_ABI_MAJOR) {
            return NULL; /* what follows is for another major to say */
        }
    }
    return wrong;
}

const char *ad_note_parse(const char *text, size_t bytes, struct ad_note *out)
{
    unsigned seen = 0;
    *out = (struct ad_note){0};
    const char *wrong = parse((struct ad_slice){text, strnlen(text, bytes)}, out, &seen);
    if (wrong != NULL) {
        return wrong;
    }
    if ((seen & HAS_ABI) && out->abi_major != AIODUCT_ABI_MAJOR) {
        return NULL;
    }
    return seen == (HAS_ABI | HAS_NEEDS | HAS_NAME | HAS_CAPS)
               ? NULL
               : "it does not say all of abi, needs, name and caps";
}
