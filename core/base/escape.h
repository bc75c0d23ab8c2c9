/* SPDX-License-Identifier: MIT */
/** Text of strangers in lines for people: one line, valid UTF-8, no byte that moves a terminal. */
#ifndef AD_BASE_ESCAPE_H
#define AD_BASE_ESCAPE_H

#include <stddef.h>

/* Copy @bytes of @from, with control characters (C0, DEL, C1) and bytes that are not UTF-8 as
 * \xNN. Ends with NUL; cut between characters if @room is too small. -> length */
size_t ad_escape(char *to, size_t room, const char *from, size_t bytes);
/* The same in place, for a NUL-terminated text in a buffer of @room bytes. */
void ad_escape_in_place(char *text, size_t room);

#endif
