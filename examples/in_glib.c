/* SPDX-License-Identifier: MIT */
/* Inside a GLib main loop, with any runtime: its descriptor is a source.   in_glib URL... */
#include <aioduct/aioduct.h>
#include <glib.h>
#include <stdio.h>

struct program {
    GMainLoop *loop;
    struct aioduct_client *client;
    int left, failed, ticks;
};

/* A source that is ready when the client's descriptor is. */
struct source {
    GSource base; /* first */
    gpointer tag;
    struct aioduct_client *client;
};

static gboolean is_ready(GSource *base)
{
    struct source *source = (struct source *)base;
    return g_source_query_unix_fd(base, source->tag) != 0;
}

static gboolean dispatch(GSource *base, GSourceFunc function, gpointer user)
{
    (void)function;
    (void)user;
    aioduct_client_turn(((struct source *)base)->client, 0);
    return G_SOURCE_CONTINUE;
}

static GSource *watch(struct aioduct_client *client)
{
    static GSourceFuncs functions = {.check = is_ready, .dispatch = dispatch};
    GSource *base = g_source_new(&functions, sizeof(struct source));
    struct source *source = (struct source *)base;
    source->client = client;
    source->tag = g_source_add_unix_fd(base, aioduct_client_poll_fd(client), G_IO_IN);
    g_source_attach(base, NULL);
    return base;
}

static gboolean on_tick(gpointer user)
{
    ((struct program *)user)->ticks++; /* the program's own work goes on */
    return G_SOURCE_CONTINUE;
}

static void on_done(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user)
{
    struct program *program = user;
    struct aioduct_exchange_info info = {.size = sizeof info};
    aioduct_exchange_info(exchange, &info);
    if (error->code < 0) {
        fprintf(stderr, "in_glib: %s\n", error->message);
        program->failed++;
    } else {
        printf("%llu bytes of body\n", (unsigned long long)info.body_bytes);
    }
    if (--program->left == 0) {
        g_main_loop_quit(program->loop);
    }
}

int main(int argc, char **argv)
{
    const struct aioduct_callbacks callbacks = {.size = sizeof callbacks, .on_done = on_done};
    struct program program = {0};
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_error error = {0};

    if (aioduct_client_create(&options, &program.client, &error) < 0) {
        return fprintf(stderr, "in_glib: %s\n", error.message), 1;
    }
    if (aioduct_client_poll_fd(program.client) < 0) { /* not every runtime has one */
        fprintf(stderr, "in_glib: runtime %s cannot be polled\n",
                aioduct_client_runtime(program.client));
        aioduct_client_destroy(program.client);
        return 1;
    }
    program.loop = g_main_loop_new(NULL, FALSE);
    GSource *source = watch(program.client);
    guint tick = g_timeout_add(1, on_tick, &program);
    for (int i = 1; i < argc; i++) {
        struct aioduct_request *request;
        if (aioduct_request_create("GET", argv[i], &request, &error) < 0) {
            fprintf(stderr, "in_glib: %s\n", error.message);
            program.failed++;
            continue;
        }
        program.left +=
            aioduct_client_submit(program.client, request, &callbacks, &program, NULL) == 0;
        aioduct_request_destroy(request); /* the exchange has its own hold on it */
    }
    if (program.left > 0) {
        g_main_loop_run(program.loop);
    }
    printf("%d failed, %d ticks meanwhile\n", program.failed, program.ticks);
    g_source_remove(tick);
    g_source_destroy(source); /* before the client, whose descriptor it watches */
    g_source_unref(source);
    aioduct_client_destroy(program.client);
    g_main_loop_unref(program.loop);
    return program.failed != 0;
}
