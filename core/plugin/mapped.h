/* SPDX-License-Identifier: MIT */
/**
 * Where may a pointer out of a plugin lead? Into what is loaded, or nowhere. Asked of each one
 * before it is followed, because a damaged file loads like any other.
 */
#ifndef AD_PLUGIN_MAPPED_H
#define AD_PLUGIN_MAPPED_H

#include <stdbool.h>
#include <stddef.h>

/* Readable bytes from @at on, to the end of its segment in whichever loaded object; 0: none. */
size_t ad_mapped_bytes(const void *at);
/* Does a text begin at @text, and end? */
bool ad_mapped_text(const char *text);
/* Is there a list of texts with NULL at its end at @list? */
bool ad_mapped_texts(const char *const *list);

/* Function pointers of all types are stored alike. */
typedef void (*ad_any_fn)(void);

/**
 * May @fn be called? In the object of @of no function may have begun before and go on there, as far
 * as unwind tables tell; one of another object must be exported by it. -> NULL, or what is wrong
 * with it: "leads out of the loaded code"
 */
const char *ad_mapped_function(ad_any_fn fn, const void *of);
/* The same for one that must be of that object, not of another: what is called to begin with. */
const char *ad_mapped_own_function(ad_any_fn fn, const void *of);

#endif
