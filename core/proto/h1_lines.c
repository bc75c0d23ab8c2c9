/* SPDX-License-Identifier: MIT */
/* Finds the end of a head or trailer section before anything else looks at it, so that a limit is
 * known to be broken before memory is spent, and refuses every line end that is not CRLF. */
#include "proto/h1_private.h"

/* The byte after a CR: it must be LF, and ends the block if the line is empty. */
static enum ad_h1_lines_result end_line(struct ad_h1_lines *l, uint8_t byte, uint32_t lines_max)
{
    if (byte != '\n') {
        return AD_H1_LINES_BARE_CR;
    }
    l->cr = false;
    if (l->line_bytes == 0) {
        return AD_H1_LINES_END;
    }
    l->line_bytes = 0;
    return ++l->lines > lines_max ? AD_H1_LINES_TOO_MANY : AD_H1_LINES_MORE;
}

static uint32_t add_capped(uint32_t a, size_t b)
{
    return b > UINT32_MAX - a ? UINT32_MAX : a + (uint32_t)b;
}

/* Bytes that belong to the line, with its CR -> how many were taken. */
static enum ad_h1_lines_result take_line(struct ad_h1_lines *l, const uint8_t *bytes, size_t count,
                                         size_t *out_taken)
{
    if (l->line_bytes == 0 && (bytes[0] == ' ' || bytes[0] == '\t')) {
        return AD_H1_LINES_FOLDED;
    }
    const uint8_t *cr = memchr(bytes, '\r', count);
    size_t text = cr == NULL ? count : (size_t)(cr - bytes);
    if (memchr(bytes, '\n', text) != NULL) {
        return AD_H1_LINES_BARE_LF;
    }
    l->line_bytes = add_capped(l->line_bytes, text);
    l->cr = cr != NULL;
    *out_taken = text + (cr != NULL);
    return AD_H1_LINES_MORE;
}

/* The usual case: lines that lie here from end to end, before the empty one. What is wrong is found
 * by the others. -> how many bytes they have */
static size_t take_whole_lines(struct ad_h1_lines *l, const uint8_t *bytes, size_t count,
                               uint32_t lines_max)
{
    size_t used = 0;
    while (used < count && l->lines < lines_max) {
        const uint8_t *line = bytes + used;
        const uint8_t *cr = memchr(line, '\r', count - used);
        if (cr == NULL || cr == line || cr + 1 == bytes + count || cr[1] != '\n' ||
            line[0] == ' ' || line[0] == '\t' || memchr(line, '\n', (size_t)(cr - line)) != NULL) {
            break;
        }
        l->lines++;
        used = (size_t)(cr - bytes) + 2;
    }
    return used;
}

enum ad_h1_lines_result ad_h1_lines_scan(struct ad_h1_lines *l, const uint8_t *bytes, size_t count,
                                         uint64_t bytes_max, uint32_t lines_max, size_t *out_used)
{
    uint64_t room = bytes_max - l->bytes;
    size_t looked_at = count < room ? count : (size_t)room;
    enum ad_h1_lines_result result = AD_H1_LINES_MORE;
    size_t used = 0;
    if (!l->cr && l->line_bytes == 0) {
        used = take_whole_lines(l, bytes, looked_at, lines_max);
    }
    while (used < looked_at && result == AD_H1_LINES_MORE) {
        size_t taken = 1;
        if (l->cr) {
            result = end_line(l, bytes[used], lines_max);
        } else {
            result = take_line(l, bytes + used, looked_at - used, &taken);
        }
        used += taken;
    }
    l->bytes += used;
    *out_used = used;
    if (result == AD_H1_LINES_MORE && looked_at < count) {
        return AD_H1_LINES_TOO_LONG;
    }
    return result;
}
