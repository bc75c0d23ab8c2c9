/* SPDX-License-Identifier: MIT */
/** A head that lies whole is read by other code than one that comes in pieces: both must say the
 * same, whatever byte of it is another, one more, or missing. */
#include "h1_tester.h"
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const heads[] = {
    "HTTP/1.1 200 OK\r\nServer: some one\r\nConnection: keep-alive\r\nContent-Length: "
    "5\r\n\r\nhello",
    "HTTP/1.0 404 Not  Found\r\nA:\r\nB:  c \r\nTransfer-Encoding: "
    "chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
    "HTTP/1.1 206 \r\nContent-Length: 0000000000000000000000\r\n\r\n",
    "HTTP/1.1 200\r\ncontent-length: 1\r\nContent-Length: 1\r\n\r\nx",
    "HTTP/1.1 103 Hints\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
};

/* What some reader of heads minds, and neighbours of that. */
static const unsigned char bytes[] = {0,   1,   8,   '\t', '\n', 0x0b, '\r', 0x1f, ' ', '!',
                                      '"', ',', '-', '/',  '0',  '1',  '9',  ':',  ';', 'A',
                                      'C', 'Z', 'c', '~',  0x7f, 0x80, 0xa0, 0xff};

static void check_same(const char *input, size_t count)
{
    const struct h1_case one = {.eof = true};
    size_t cuts[256];
    assert_true(count <= sizeof cuts / sizeof cuts[0]);
    for (size_t i = 0; i + 1 < count; i++) {
        cuts[i] = i + 1;
    }
    char *whole = h1_lines_of(&one, input, count, NULL, 0);
    char *pieces = h1_lines_of(&one, input, count, cuts, count - 1);
    if (strcmp(whole, pieces) != 0) {
        print_message("%.*s\nis, whole:\n%s\nand byte by byte:\n%s\n", (int)count, input, whole,
                      pieces);
        fail();
    }
    free(whole);
    free(pieces);
}

static void test_another_byte(void **state)
{
    (void)state;
    for (size_t h = 0; h < sizeof heads / sizeof heads[0]; h++) {
        char *input = strdup(heads[h]);
        size_t count = strlen(input);
        for (size_t at = 0; at < count; at++) {
            for (size_t b = 0; b < sizeof bytes; b++) {
                input[at] = (char)bytes[b];
                check_same(input, count);
            }
            input[at] = heads[h][at];
        }
        free(input);
    }
}

static void test_one_more_byte(void **state)
{
    (void)state;
    for (size_t h = 0; h < sizeof heads / sizeof heads[0]; h++) {
        size_t count = strlen(heads[h]);
        char *input = malloc(count + 1);
        for (size_t at = 0; at <= count; at++) {
            memcpy(input, heads[h], at);
            memcpy(input + at + 1, heads[h] + at, count - at);
            for (size_t b = 0; b < sizeof bytes; b++) {
                input[at] = (char)bytes[b];
                check_same(input, count + 1);
            }
        }
        free(input);
    }
}

static void test_bytes_less(void **state)
{
    (void)state;
    for (size_t h = 0; h < sizeof heads / sizeof heads[0]; h++) {
        size_t count = strlen(heads[h]);
        char *input = malloc(count);
        for (size_t less = 1; less < 4; less++) {
            for (size_t at = 0; at + less < count; at++) {
                memcpy(input, heads[h], at);
                memcpy(input + at, heads[h] + at + less, count - at - less);
                check_same(input, count - less);
            }
        }
        free(input);
    }
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"C10: whole or in pieces, a head with another byte says the same", test_another_byte, 0, 0,
         0},
        {"C10: whole or in pieces, a head with one more byte says the same", test_one_more_byte, 0,
         0, 0},
        {"C10: whole or in pieces, a head with bytes less says the same", test_bytes_less, 0, 0, 0},
    };
    return TAP_RUN(cases, NULL, NULL);
}
