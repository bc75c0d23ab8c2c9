/* SPDX-License-Identifier: MIT */
/* A client with two loops of its own, used by eight threads at once.   threads URL */
#include <aioduct/aioduct.h>
#include <pthread.h>
#include <stdio.h>

struct job {
    struct aioduct_client *client;
    const char *url;
    int failed;
};

static void *work(void *argument)
{
    struct job *job = argument;
    for (int i = 0; i < 25; i++) {
        struct aioduct_response *response = NULL;
        struct aioduct_error error = {0};
        if (aioduct_get(job->client, job->url, &response, &error) < 0) {
            fprintf(stderr, "threads: %s\n", error.message);
            job->failed++;
        }
        aioduct_response_destroy(response);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_client *client;
    struct aioduct_error error = {0};
    struct job jobs[8];
    pthread_t threads[8];
    int failed = 0;

    if (argc != 2) {
        return fprintf(stderr, "usage: threads URL\n"), 2;
    }
    options.workers = 2;
    if (aioduct_client_create(&options, &client, &error) < 0) {
        return fprintf(stderr, "threads: %s\n", error.message), 1;
    }
    for (int i = 0; i < 8; i++) {
        jobs[i] = (struct job){client, argv[1], 0};
        pthread_create(&threads[i], NULL, work, &jobs[i]);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        failed += jobs[i].failed;
    }
    aioduct_client_destroy(client);
    printf("%d answered, %d failed\n", 200 - failed, failed);
    return failed != 0;
}
