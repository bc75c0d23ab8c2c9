/* SPDX-License-Identifier: MIT */
/**
 * What a plugin file says of itself, read from its bytes: nothing in it is run, mapped or believed.
 * The file may be hostile or cut short; every offset is checked against its size.
 */
#ifndef AD_PLUGIN_NOTE_H
#define AD_PLUGIN_NOTE_H

#include "plugin/name.h"

#include <aioduct/error.h>
#include <stddef.h>

/* The text of .note.aioduct: "abi=1.0;needs=0;name=libev;caps=runtime,poll,connector". */
struct ad_note {
    unsigned abi_major, abi_minor, needs;
    unsigned caps; /* AD_CAP_*; words that this version does not know are left out */
    char name[AD_NAME_BYTES_MAX + 1]; /* "" in a note of another major, of which only abi is read */
};

/* -> NULL with @out filled, or what is wrong with the text. */
const char *ad_note_parse(const char *text, size_t bytes, struct ad_note *out);

/**
 * Read @path: a shared object of this architecture, whole, with exactly one aioduct note.
 * Returns: 0 with @out filled | AIODUCT_E_PLUGIN_INVALID | -ENOMEM; @error names the file
 */
int ad_elf_read(const char *path, struct ad_note *out, struct aioduct_error *error);

#endif
