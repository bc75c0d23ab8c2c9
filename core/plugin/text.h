/* SPDX-License-Identifier: MIT */
/** Texts for people: bounded, one line, whatever bytes a file, a variable or a plugin put into
 * them. */
#ifndef AD_PLUGIN_TEXT_H
#define AD_PLUGIN_TEXT_H

#include <aioduct/error.h>
#include <stdbool.h>
#include <stddef.h>

/* Appends to @buffer until it is full; always NUL-terminated. A piece that does not fit whole is
 * left out, and so is everything after it. */
struct ad_text {
    char *buffer;
    size_t bytes, capacity;
    bool full;
};
void ad_text_init(struct ad_text *text, char *buffer, size_t capacity);
__attribute__((format(printf, 2, 3))) void ad_text_add(struct ad_text *text, const char *format,
                                                       ...);

/* Copy @from, cut to fit, control characters replaced. @from NULL gives "". */
void ad_text_copy(char *to, size_t capacity, const char *from);

/* ad_error_set for phase setup, control characters replaced. @error may be NULL. -> @code */
__attribute__((format(printf, 3, 4))) int ad_plugin_fail(struct aioduct_error *error, int code,
                                                         const char *format, ...);
int ad_plugin_fail_memory(struct aioduct_error *error); /* -> -ENOMEM */

/* Is @line news? One that was said before is not said again: programs that make many clients would
 * repeat it. */
bool ad_plugin_say_once(const char *line);

/* A step of the loader, if AIODUCT_DEBUG lists "plugins". */
__attribute__((format(printf, 1, 2))) void ad_plugin_trace(const char *format, ...);

#endif
