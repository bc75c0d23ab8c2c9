/* SPDX-License-Identifier: MIT */
/* Inside a libuv loop, with any runtime: its descriptor is a poll handle.   in_libuv URL... */
#include <aioduct/aioduct.h>
#include <stdio.h>
#include <uv.h>

struct program {
    uv_loop_t loop;
    uv_poll_t poll;
    uv_timer_t tick;
    struct aioduct_client *client;
    int left, failed, ticks;
};

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    aioduct_client_turn(((struct program *)poll->data)->client, 0);
}

static void on_tick(uv_timer_t *timer)
{
    ((struct program *)timer->data)->ticks++; /* the program's own work goes on */
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct program *program = user;
    struct aioduct_exchange_info info = {.size = sizeof info};
    aioduct_exchange_info(exchange, &info);
    if (error->code < 0) {
        fprintf(stderr, "in_libuv: %s\n", error->message);
        program->failed++;
    } else {
        printf("%llu bytes of body\n", (unsigned long long)info.body_bytes);
    }
    if (--program->left == 0) {
        uv_stop(&program->loop);
    }
}

static void submit(struct program *program, const char *url)
{
    const struct aioduct_callbacks callbacks = {.size = sizeof callbacks, .on_done = on_done};
    struct aioduct_request *request;
    struct aioduct_error error = {0};
    if (aioduct_request_create("GET", url, &request, &error) < 0) {
        fprintf(stderr, "in_libuv: %s\n", error.message);
        program->failed++;
        return;
    }
    program->left +=
        aioduct_client_submit(program->client, request, &callbacks, program, NULL) == 0;
    aioduct_request_destroy(request); /* the exchange has its own hold on it */
}

int main(int argc, char **argv)
{
    struct program program = {.left = 0};
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_error error = {0};

    if (aioduct_client_create(&options, &program.client, &error) < 0) {
        return fprintf(stderr, "in_libuv: %s\n", error.message), 1;
    }
    int fd = aioduct_client_poll_fd(program.client);
    if (fd < 0) { /* not every runtime has one */
        fprintf(stderr, "in_libuv: runtime %s cannot be polled\n",
                aioduct_client_runtime(program.client));
        aioduct_client_destroy(program.client);
        return 1;
    }
    uv_loop_init(&program.loop);
    uv_poll_init(&program.loop, &program.poll, fd);
    uv_timer_init(&program.loop, &program.tick);
    program.poll.data = program.tick.data = &program;
    uv_poll_start(&program.poll, UV_READABLE, on_readable);
    uv_timer_start(&program.tick, on_tick, 1, 1);
    for (int i = 1; i < argc; i++) {
        submit(&program, argv[i]);
    }
    if (program.left > 0) {
        uv_run(&program.loop, UV_RUN_DEFAULT);
    }
    printf("%d failed, %d ticks meanwhile\n", program.failed, program.ticks);
    uv_close((uv_handle_t *)&program.poll, NULL); /* before the client, whose descriptor it is */
    uv_close((uv_handle_t *)&program.tick, NULL);
    uv_run(&program.loop, UV_RUN_DEFAULT);
    aioduct_client_destroy(program.client);
    uv_loop_close(&program.loop);
    return program.failed != 0;
}
