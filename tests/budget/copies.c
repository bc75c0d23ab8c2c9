/* SPDX-License-Identifier: MIT */
/*
 * copies [-H] [-k CAFILE] [-m MIB | -u MIB] URL
 * One request, and how often the bytes of its body are copied: for each piece of the answer whether
 * it lies where the kernel or GnuTLS has put it, and how many bytes were copied in all; with -m of
 * one that goes into memory of so many MiB, with -u those of a request body of so many, borrowed
 * from memory, instead. -H: HTTP/2 by prior knowledge. Prints one line of JSON.
 */
#include "seen.h"

#include <aioduct/aioduct.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct seen {
    uint64_t bytes, outside;
    bool tls;
};

static int on_head(struct aioduct_exchange *exchange, const struct aioduct_head *head, void *user)
{
    (void)exchange;
    (void)user;
    seen_on = true;
    return head->status == 200 ? 0 : -1;
}

static int on_body(struct aioduct_exchange *exchange, const void *bytes, size_t count, void *user)
{
    struct seen *seen = user;
    (void)exchange;
    bool in_place = seen->tls ? seen_from_gnutls(bytes, count) : seen_from_kernel(bytes, count);
    seen->bytes += count;
    seen->outside += in_place ? 0 : count;
    return 0;
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct aioduct_exchange_info info = {.size = sizeof info};
    struct seen *seen = user;
    (void)error;
    seen_on = false;
    if (seen->bytes == 0 && aioduct_exchange_info(exchange, &info) == 0) { /* no on_body came */
        seen->bytes = info.body_bytes;
    }
}

static const struct aioduct_callbacks callbacks = {
    .size = sizeof callbacks, .on_head = on_head, .on_body = on_body, .on_done = on_done};

static int fail(const char *what, const struct aioduct_error *error)
{
    fprintf(stderr, "copies: %s: %s\n", what, error->message);
    return 1;
}

int main(int argc, char **argv)
{
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_error error;
    struct aioduct_client *client;
    struct aioduct_request *request;
    struct seen seen = {0};
    size_t upload_bytes = 0, room = 0;
    int version = AIODUCT_HTTP_1_1, option;
    while ((option = getopt(argc, argv, "Hk:m:u:")) != -1) {
        switch (option) {
        case 'H':
            version = AIODUCT_HTTP_2_PRIOR_KNOWLEDGE;
            break;
        case 'k':
            options.tls.ca_file = optarg;
            seen.tls = true;
            break;
        case 'm':
            room = (size_t)strtoul(optarg, NULL, 10) << 20;
            break;
        case 'u':
            upload_bytes = (size_t)strtoul(optarg, NULL, 10) << 20;
            break;
        default:
            return 2;
        }
    }
    if (optind != argc - 1) {
        return 2;
    }
    if (aioduct_client_create(&options, &client, &error) < 0) {
        return fail("client", &error);
    }
    if (aioduct_request_create(upload_bytes > 0 ? "PUT" : "GET", argv[optind], &request, &error) <
        0) {
        return fail(argv[optind], &error);
    }
    aioduct_request_version(request, version);
    void *body = calloc(1, upload_bytes + room + 1);
    if (body == NULL) {
        return 1;
    }
    if (room > 0) {
        aioduct_request_into_memory(request, body, room);
    }
    if (upload_bytes > 0) {
        aioduct_request_body_borrow(request, body, upload_bytes);
        seen_on = true; /* heads are small */
    }
    if (aioduct_client_perform(client, request, &callbacks, &seen, &error) < 0) {
        return fail("request", &error);
    }
    printf("{\"runtime\":\"%s\",\"body_bytes\":%" PRIu64 ",\"outside\":%" PRIu64
           ",\"copied\":%" PRIu64 ",\"receives_seen\":%s}\n",
           aioduct_client_runtime(client), upload_bytes > 0 ? upload_bytes : seen.bytes,
           seen.outside, seen_copied, seen_any_receive() ? "true" : "false");
    aioduct_request_destroy(request);
    aioduct_client_destroy(client);
    free(body);
    return 0;
}
