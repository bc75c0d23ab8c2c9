/* SPDX-License-Identifier: MIT */
/* Inside a libev loop: the client lives in the program's own.   in_libev URL... */
#include <aioduct/aioduct.h>
#include <ev.h>
#include <stdio.h>

struct program {
    struct ev_loop *ev;
    struct aioduct_client *client;
    int left, failed, ticks;
};

static void on_tick(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)events;
    ((struct program *)timer->data)->ticks++; /* the program's own work goes on */
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct program *program = user;
    struct aioduct_exchange_info info = {.size = sizeof info};
    aioduct_exchange_info(exchange, &info);
    if (error->code < 0) {
        fprintf(stderr, "in_libev: %s\n", error->message);
        program->failed++;
    } else {
        printf("%llu bytes of body\n", (unsigned long long)info.body_bytes);
    }
    if (--program->left == 0) {
        ev_break(program->ev, EVBREAK_ALL);
    }
}

int main(int argc, char **argv)
{
    const struct aioduct_callbacks callbacks = {.size = sizeof callbacks, .on_done = on_done};
    struct program program = {.ev = ev_loop_new(EVFLAG_AUTO)};
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_error error = {0};
    ev_timer tick;

    options.loop = AIODUCT_LOOP_LIBEV(program.ev);
    if (aioduct_client_create(&options, &program.client, &error) < 0) {
        fprintf(stderr, "in_libev: %s\n", error.message);
        ev_loop_destroy(program.ev);
        return 1;
    }
    ev_timer_init(&tick, on_tick, 0.001, 0.001);
    tick.data = &program;
    ev_timer_start(program.ev, &tick);
    for (int i = 1; i < argc; i++) {
        struct aioduct_request *request;
        if (aioduct_request_create("GET", argv[i], &request, &error) < 0) {
            fprintf(stderr, "in_libev: %s\n", error.message);
            program.failed++;
            continue;
        }
        program.left +=
            aioduct_client_submit(program.client, request, &callbacks, &program, NULL) == 0;
        aioduct_request_destroy(request); /* the exchange has its own hold on it */
    }
    if (program.left > 0) {
        ev_run(program.ev, 0);
    }
    printf("%d failed, %d ticks meanwhile\n", program.failed, program.ticks);
    ev_timer_stop(program.ev, &tick);
    aioduct_client_destroy(program.client);
    ev_loop_destroy(program.ev);
    return program.failed != 0;
}
