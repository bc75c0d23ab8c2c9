/* SPDX-License-Identifier: MIT */
/* Stream a body to a file with callbacks; nothing of it is held in memory.   download URL FILE */
#include <aioduct/aioduct.h>
#include <errno.h>
#include <stdio.h>

static int on_head(struct aioduct_exchange *exchange, const struct aioduct_head *head, void *user)
{
    (void)exchange;
    (void)user;
    return head->status == 200 ? 0 : -EBADMSG; /* negative ends the exchange */
}

static int on_body(struct aioduct_exchange *exchange, const void *bytes, size_t count, void *user)
{
    (void)exchange;
    return fwrite(bytes, 1, count, user) == count ? 0 : -EIO;
}

int main(int argc, char **argv)
{
    const struct aioduct_callbacks callbacks = {
        .size = sizeof callbacks, .on_head = on_head, .on_body = on_body};
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_client *client;
    struct aioduct_request *request;
    struct aioduct_error error = {0};

    FILE *file = argc == 3 ? fopen(argv[2], "wb") : NULL;
    if (file == NULL) {
        return fprintf(stderr, "usage: download URL FILE\n"), 2;
    }
    int code = aioduct_client_create(&options, &client, &error);
    if (code == 0) {
        code = aioduct_request_create("GET", argv[1], &request, &error);
        if (code == 0) {
            code = aioduct_client_perform(client, request, &callbacks, file, &error);
            aioduct_request_destroy(request);
        }
        aioduct_client_destroy(client);
    }
    if (fclose(file) != 0 || code < 0) {
        return fprintf(stderr, "download: %s\n", error.message), 1;
    }
    return 0;
}
