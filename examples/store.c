/* SPDX-License-Identifier: MIT */
/* Have a body put where it belongs, without a callback for it: into FILE, or with none into memory,
 * at most a MiB of it.   store URL [FILE] */
#include <aioduct/aioduct.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define MEMORY_BYTES (1u << 20)

static int on_head(struct aioduct_exchange *exchange, const struct aioduct_head *head, void *user)
{
    (void)exchange;
    (void)user;
    return head->status / 100 == 2 ? 0 : -1; /* of other answers the body would come by on_body */
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct aioduct_exchange_info info = {.size = sizeof info};
    (void)error;
    if (aioduct_exchange_info(exchange, &info) == 0) {
        *(uint64_t *)user = info.body_bytes;
    }
}

/* @fd -1: into @memory. */
static int store(const char *url, int fd, void *memory, uint64_t *out_bytes,
                 struct aioduct_error *error)
{
    const struct aioduct_callbacks callbacks = {
        .size = sizeof callbacks, .on_head = on_head, .on_done = on_done};
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_client *client;
    struct aioduct_request *request;
    int code = aioduct_client_create(&options, &client, error);
    if (code < 0) {
        return code;
    }
    code = aioduct_request_create("GET", url, &request, error);
    if (code == 0) {
        code = fd >= 0 ? aioduct_request_into_file(request, fd, 0)
                       : aioduct_request_into_memory(request, memory, MEMORY_BYTES);
        if (code == 0) {
            code = aioduct_client_perform(client, request, &callbacks, out_bytes, error);
        } else {
            snprintf(error->message, sizeof error->message, "%s", aioduct_error_text(code));
        }
        aioduct_request_destroy(request);
    }
    aioduct_client_destroy(client);
    return code;
}

int main(int argc, char **argv)
{
    static char memory[MEMORY_BYTES];
    struct aioduct_error error = {0};
    uint64_t bytes = 0;
    int fd = -1;
    if (argc != 2 && argc != 3) {
        return fprintf(stderr, "usage: store URL [FILE]\n"), 2;
    }
    if (argc == 3 && (fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) < 0) {
        return perror(argv[2]), 1;
    }
    int code = store(argv[1], fd, memory, &bytes, &error);
    if (code < 0) {
        fprintf(stderr, "store: %s\n", error.message);
    } else if (fd < 0) {
        fwrite(memory, 1, (size_t)bytes, stdout);
    }
    if (fd >= 0 && close(fd) < 0) {
        return perror(argv[2]), 1;
    }
    return code < 0;
}
