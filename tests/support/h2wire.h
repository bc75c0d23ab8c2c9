/* SPDX-License-Identifier: MIT */
/**
 * HTTP/2 frames as text, one line a frame, and back. A server's side in a test is written so, well
 * formed or not:
 *
 *     SETTINGS 3=100 4=65535      SETTINGS ack
 *     HEADERS 1 end | :status: 200 | a: b       (with "open": CONTINUATION follows)
 *     CONTINUATION 1 | c: d                     (the block ends unless "open")
 *     DATA 1 end hello            DATA 1 pad=3 hello      DATA 1 size=100
 *     RST_STREAM 1 8              GOAWAY 1 0 debug text   WINDOW_UPDATE 0 100
 *     PING 01234567               PING ack 01234567       PRIORITY 1
 *     PUSH_PROMISE 1 2 | :method: GET
 *     FRAME type flags id payload in hexadecimal
 *     RAW bytes in hexadecimal
 *     BOMB 1 3000 6             a head with a table entry of 3000 bytes, and 6 references to it
 *     REPEAT 100 PING 01234567
 *
 * Fields are literals without compression, so that they stand alone.
 */
#ifndef TESTS_SUPPORT_H2WIRE_H
#define TESTS_SUPPORT_H2WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct h2_bytes {
    uint8_t *p;
    size_t count, room;
};

void h2_bytes_add(struct h2_bytes *to, const void *p, size_t count);
void h2_bytes_fini(struct h2_bytes *bytes);
/* One line. Aborts where the text is wrong. */
void h2_wire_add(struct h2_bytes *to, const char *line);
void h2_wire_frame(struct h2_bytes *to, uint8_t type, uint8_t flags, uint32_t id,
                   const void *payload, size_t count);

/* Reads frames of a client, in pieces of any size. */
struct h2_reader;
/* @told gets one line a frame, such as "HEADERS 1 end | :method: GET | ..." or "DATA 1 end 5
 * hello", without a newline, and the frame's own numbers. */
struct h2_frame {
    uint8_t type, flags;
    uint32_t id;
    const uint8_t *payload;
    size_t count;
    const char *line;
};
struct h2_reader *h2_reader_create(void (*told)(void *user, const struct h2_frame *frame),
                                   void *user);
void h2_reader_destroy(struct h2_reader *reader);
/* false: not HTTP/2 */
bool h2_reader_feed(struct h2_reader *reader, const uint8_t *bytes, size_t count);

#endif
