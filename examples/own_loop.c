/* SPDX-License-Identifier: MIT */
/* Inside a loop of your own: poll one descriptor, call one function.   own_loop URL */
#include <aioduct/aioduct.h>
#include <poll.h>
#include <stdio.h>

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct aioduct_exchange_info info = {.size = sizeof info};
    aioduct_exchange_info(exchange, &info);
    printf("%s, %llu bytes of body\n", error->code == 0 ? "done" : error->message,
           (unsigned long long)info.body_bytes);
    *(int *)user = error->code;
}

int main(int argc, char **argv)
{
    const struct aioduct_callbacks callbacks = {.size = sizeof callbacks, .on_done = on_done};
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_client *client;
    struct aioduct_request *request;
    struct aioduct_error error = {0};
    int result = 1;

    if (argc != 2) {
        return fprintf(stderr, "usage: own_loop URL\n"), 2;
    }
    if (aioduct_client_create(&options, &client, &error) < 0) {
        return fprintf(stderr, "own_loop: %s\n", error.message), 1;
    }
    if (aioduct_request_create("GET", argv[1], &request, &error) < 0 ||
        aioduct_client_submit(client, request, &callbacks, &result, NULL) < 0) {
        aioduct_client_destroy(client);
        return fprintf(stderr, "own_loop: cannot start\n"), 1;
    }
    struct pollfd watched[] = {
        {.fd = aioduct_client_poll_fd(client), .events = POLLIN},
        /* ... and whatever else the program waits for */
    };
    if (watched[0].fd < 0) { /* not every runtime has one */
        fprintf(stderr, "own_loop: %s: %s\n", aioduct_client_runtime(client),
                aioduct_error_text(watched[0].fd));
    }
    while (watched[0].fd >= 0 && aioduct_client_outstanding(client) > 0) {
        poll(watched, 1, -1);
        if (watched[0].revents != 0) {
            aioduct_client_turn(client, 0);
        }
    }
    aioduct_request_destroy(request);
    aioduct_client_destroy(client);
    return result != 0;
}
