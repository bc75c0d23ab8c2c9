/* SPDX-License-Identifier: MIT */
/* Inside a libevent loop: the client lives in the program's own event_base.   in_libevent URL... */
#include <aioduct/aioduct.h>
#include <event2/event.h>
#include <stdio.h>

struct program {
    struct event_base *base;
    struct aioduct_client *client;
    int left, failed, ticks;
};

static void on_tick(evutil_socket_t fd, short events, void *user)
{
    (void)fd;
    (void)events;
    ((struct program *)user)->ticks++; /* the program's own work goes on */
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct program *program = user;
    struct aioduct_exchange_info info = {.size = sizeof info};
    aioduct_exchange_info(exchange, &info);
    if (error->code < 0) {
        fprintf(stderr, "in_libevent: %s\n", error->message);
        program->failed++;
    } else {
        printf("%llu bytes of body\n", (unsigned long long)info.body_bytes);
    }
    if (--program->left == 0) {
        event_base_loopbreak(program->base);
    }
}

int main(int argc, char **argv)
{
    const struct aioduct_callbacks callbacks = {.size = sizeof callbacks, .on_done = on_done};
    const struct timeval every = {.tv_usec = 1000};
    struct program program = {.base = event_base_new()};
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_error error = {0};

    options.loop = AIODUCT_LOOP_LIBEVENT(program.base);
    if (aioduct_client_create(&options, &program.client, &error) < 0) {
        fprintf(stderr, "in_libevent: %s\n", error.message);
        event_base_free(program.base);
        return 1;
    }
    struct event *tick = event_new(program.base, -1, EV_PERSIST, on_tick, &program);
    event_add(tick, &every);
    for (int i = 1; i < argc; i++) {
        struct aioduct_request *request;
        if (aioduct_request_create("GET", argv[i], &request, &error) < 0) {
            fprintf(stderr, "in_libevent: %s\n", error.message);
            program.failed++;
            continue;
        }
        program.left +=
            aioduct_client_submit(program.client, request, &callbacks, &program, NULL) == 0;
        aioduct_request_destroy(request); /* the exchange has its own hold on it */
    }
    if (program.left > 0) {
        event_base_dispatch(program.base);
    }
    printf("%d failed, %d ticks meanwhile\n", program.failed, program.ticks);
    event_free(tick);
    aioduct_client_destroy(program.client);
    event_base_free(program.base);
    return program.failed != 0;
}
