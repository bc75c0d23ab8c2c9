/* SPDX-License-Identifier: MIT */
/* Many requests at once in one thread: one prepared request, sent COUNT times.   many URL COUNT */
#include <aioduct/aioduct.h>
#include <stdio.h>
#include <stdlib.h>

struct tally {
    int ok, failed;
    size_t bytes;
};

static int on_body(struct aioduct_exchange *exchange, const void *bytes, size_t count, void *user)
{
    (void)exchange;
    (void)bytes;
    ((struct tally *)user)->bytes += count;
    return 0;
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct tally *tally = user;
    (void)exchange;
    if (error->code == 0) {
        tally->ok++;
    } else {
        tally->failed++;
        fprintf(stderr, "many: %s\n", error->message);
    }
}

int main(int argc, char **argv)
{
    const struct aioduct_callbacks callbacks = {
        .size = sizeof callbacks, .on_body = on_body, .on_done = on_done};
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_client *client;
    struct aioduct_request *request;
    struct aioduct_error error = {0};
    struct tally tally = {0};

    char *end = NULL;
    long count = argc == 3 ? strtol(argv[2], &end, 10) : 0;
    if (count < 1 || count > 1000000 || *end != '\0') {
        return fprintf(stderr, "usage: many URL COUNT (1 to 1000000)\n"), 2;
    }
    if (aioduct_client_create(&options, &client, &error) < 0) {
        return fprintf(stderr, "many: %s\n", error.message), 1;
    }
    if (aioduct_request_create("GET", argv[1], &request, &error) < 0) {
        aioduct_client_destroy(client);
        return fprintf(stderr, "many: %s\n", error.message), 1;
    }
    for (long i = 0; i < count; i++) {
        if (aioduct_client_submit(client, request, &callbacks, &tally, NULL) < 0) {
            tally.failed++;
        }
    }
    aioduct_client_run(client); /* until none is outstanding */
    printf("%d answered, %d failed, %zu bytes over %s\n", tally.ok, tally.failed, tally.bytes,
           aioduct_client_runtime(client));
    aioduct_request_destroy(request);
    aioduct_client_destroy(client);
    return tally.failed != 0;
}
