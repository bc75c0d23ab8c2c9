/* SPDX-License-Identifier: MIT */
/* Inside a ring: the client's operations are entries in the program's own.   in_uring URL... */
#include <aioduct/aioduct.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>

enum { TICK = 1 }; /* user_data of the program's own entries */

struct program {
    struct io_uring ring;
    struct aioduct_client *client;
    struct __kernel_timespec every;
    int left, failed, ticks;
};

static void start_tick(struct program *program)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&program->ring);
    if (sqe != NULL) {
        io_uring_prep_timeout(sqe, &program->every, 0, 0);
        sqe->user_data = TICK;
    }
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct program *program = user;
    struct aioduct_exchange_info info = {.size = sizeof info};
    aioduct_exchange_info(exchange, &info);
    if (error->code < 0) {
        fprintf(stderr, "in_uring: %s\n", error->message);
        program->failed++;
    } else {
        printf("%llu bytes of body\n", (unsigned long long)info.body_bytes);
    }
    program->left--;
}

static void run(struct program *program)
{
    struct io_uring_cqe *cqe;
    while (program->left > 0) {
        aioduct_client_ring_prepare(program->client); /* last, before the wait */
        io_uring_submit_and_wait(&program->ring, 1);
        unsigned head, count = 0;
        io_uring_for_each_cqe(&program->ring, head, cqe)
        {
            count++;
            if (aioduct_ring_is_ours(cqe->user_data)) {
                aioduct_client_ring_complete(program->client, cqe->user_data, cqe->res, cqe->flags);
            } else if (cqe->user_data == TICK) {
                program->ticks++; /* the program's own work goes on */
                start_tick(program);
            }
        }
        io_uring_cq_advance(&program->ring, count);
    }
}

int main(int argc, char **argv)
{
    const struct aioduct_callbacks callbacks = {.size = sizeof callbacks, .on_done = on_done};
    struct program program = {.every = {.tv_nsec = 1000000}};
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_error error = {0};

    int code = io_uring_queue_init(64, &program.ring, 0);
    if (code < 0) {
        return fprintf(stderr, "in_uring: %s\n", strerror(-code)), 1;
    }
    options.loop = AIODUCT_LOOP_IO_URING(&program.ring);
    if (aioduct_client_create(&options, &program.client, &error) < 0) {
        fprintf(stderr, "in_uring: %s\n", error.message);
        io_uring_queue_exit(&program.ring);
        return 1;
    }
    start_tick(&program);
    for (int i = 1; i < argc; i++) {
        struct aioduct_request *request;
        if (aioduct_request_create("GET", argv[i], &request, &error) < 0) {
            fprintf(stderr, "in_uring: %s\n", error.message);
            program.failed++;
            continue;
        }
        program.left +=
            aioduct_client_submit(program.client, request, &callbacks, &program, NULL) == 0;
        aioduct_request_destroy(request); /* the exchange has its own hold on it */
    }
    run(&program);
    printf("%d failed, %d ticks meanwhile\n", program.failed, program.ticks);
    aioduct_client_destroy(program.client);
    io_uring_queue_exit(&program.ring);
    return program.failed != 0;
}
