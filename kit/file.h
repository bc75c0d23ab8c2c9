/* SPDX-License-Identifier: MIT */
/**
 * file.h - what a plugin's file says before it is loaded: its dynamic section, symbols and note.
 */
#ifndef CT_FILE_H
#define CT_FILE_H

#include <stdbool.h>
#include <stddef.h>

enum { CT_NAMES_MAX = 64, CT_NOTE_BYTES = 256 };

/* The pointers are into the file's bytes, which stay. */
struct ct_file {
    const char *exports[CT_NAMES_MAX]; /* the first of them */
    unsigned export_count;
    bool has_symbols; /* else its symbols could not be found */
    const char *needed[CT_NAMES_MAX];
    unsigned needed_count;
    const char *soname, *run_path; /* or NULL */
    bool binds_now, has_relro, has_executable_stack, has_text_relocations, has_static_tls;
    bool is_sanitized;        /* it calls a sanitizer, which links as it likes */
    char note[CT_NOTE_BYTES]; /* the text of the last one */
    unsigned note_count;
};

/* -> NULL with @out filled, or what is wrong with the file */
const char *ct_file_read(const char *path, struct ct_file *out);

/* The value of @key in a note's text, or false. */
bool ct_note_value(const char *note, const char *key, char *out, size_t bytes);

#endif
