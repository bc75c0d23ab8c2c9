/* SPDX-License-Identifier: MIT */
/* Leave HTTP: ask a server to speak another protocol, send it a message, print what it says until
 * it ends. The same over HTTP/2 with aioduct_request_version.   upgrade URL PROTOCOL MESSAGE */
#include <aioduct/aioduct.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

static int on_head(struct aioduct_exchange *exchange, const struct aioduct_head *head, void *user)
{
    const char *message = user;
    if (head->status != 101 && !(head->version == 20 && head->status / 100 == 2)) {
        fprintf(stderr, "upgrade: the server answered %d\n", head->status);
        return -EPROTO; /* an ordinary answer: negative ends the exchange */
    }
    /* From here on bytes go both ways, as they are. Over 128 KiB would wait for on_writable. */
    if (aioduct_exchange_write(exchange, message, strlen(message)) != (int64_t)strlen(message)) {
        return -ENOBUFS;
    }
    return aioduct_exchange_write_end(exchange);
}

static int on_body(struct aioduct_exchange *exchange, const void *bytes, size_t count, void *user)
{
    (void)exchange;
    (void)user;
    if (count == 0) { /* the server has ended its direction */
        return putchar('\n') == '\n' ? 0 : -EIO;
    }
    return fwrite(bytes, 1, count, stdout) == count ? 0 : -EIO;
}

int main(int argc, char **argv)
{
    const struct aioduct_callbacks callbacks = {
        .size = sizeof callbacks, .on_head = on_head, .on_body = on_body};
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_client *client;
    struct aioduct_request *request;
    struct aioduct_error error = {0};

    if (argc != 4) {
        return fprintf(stderr, "usage: upgrade URL PROTOCOL MESSAGE\n"), 2;
    }
    int code = aioduct_client_create(&options, &client, &error);
    if (code == 0) {
        code = aioduct_request_create("GET", argv[1], &request, &error);
        if (code == 0) {
            if (aioduct_request_upgrade(request, argv[2]) < 0 ||
                aioduct_request_body_push(request, AIODUCT_LENGTH_UNKNOWN) < 0) {
                snprintf(error.message, sizeof error.message, "no such protocol: %s", argv[2]);
                code = -EINVAL;
            } else {
                code = aioduct_client_perform(client, request, &callbacks, argv[3], &error);
            }
            aioduct_request_destroy(request);
        }
        aioduct_client_destroy(client);
    }
    if (code < 0) {
        return fprintf(stderr, "upgrade: %s\n", error.message), 1;
    }
    return 0;
}
