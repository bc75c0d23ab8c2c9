/* SPDX-License-Identifier: MIT */
/* A test program as the author of a plugin writes it, with <aioduct/plugin/kit.h>. Its plugin is
 * the built-in epoll, whole or broken in one way:
 *   vendor whole|crash|hang|exit|thread|deaf WORD [tap] */
#include <aioduct/plugin/kit.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const struct aioduct_plugin aioduct_plugin_epoll;

static struct aioduct_runtime broken;

static const struct aioduct_runtime *whole(void)
{
    return aioduct_plugin_epoll.get_interface(AIODUCT_IFACE_RUNTIME);
}

static const void *interfaces(const char *id)
{
    return strcmp(id, AIODUCT_IFACE_RUNTIME) == 0 ? &broken
                                                  : aioduct_plugin_epoll.get_interface(id);
}

static int crash(void *rt, struct aioduct_task *root, void *root_state)
{
    (void)rt;
    (void)root;
    (void)root_state;
    abort();
}

static int hang(void *rt, struct aioduct_task *root, void *root_state)
{
    (void)root;
    (void)root_state;
    while (rt != NULL) {
        pause();
    }
    return 0;
}

static int end(void *rt, struct aioduct_task *root, void *root_state)
{
    (void)rt;
    (void)root;
    (void)root_state;
    exit(0);
}

static void *stay(void *arg)
{
    while (arg == NULL) {
        pause();
    }
    return arg;
}

static int open_with_thread(void *rt, const struct aioduct_host *host,
                            const struct aioduct_foreign *foreign)
{
    pthread_t thread;
    int code = whole()->open(rt, host, foreign);
    if (code == 0 && pthread_create(&thread, NULL, stay, NULL) == 0) {
        pthread_detach(thread);
    }
    return code;
}

static void deaf(void *rt, struct aioduct_task *task, void *task_state)
{
    (void)rt;
    (void)task;
    (void)task_state;
}

int main(int argc, char **argv)
{
    struct aioduct_plugin plugin = aioduct_plugin_epoll;
    const char *how = argc > 2 ? argv[1] : "whole";
    const char *const only[] = {argc > 2 ? argv[2] : "RT-8", NULL};
    struct aioduct_kit_options options = AIODUCT_KIT_OPTIONS_INIT;
    broken = *whole();
    plugin.get_interface = interfaces;
    if (strcmp(how, "crash") == 0) {
        broken.block_on = crash;
    } else if (strcmp(how, "hang") == 0) {
        broken.block_on = hang;
    } else if (strcmp(how, "exit") == 0) {
        broken.block_on = end;
    } else if (strcmp(how, "thread") == 0) {
        broken.open = open_with_thread;
    } else if (strcmp(how, "deaf") == 0) {
        broken.wake = deaf;
    }
    options.plugin = &plugin;
    options.only = only;
    options.timeout_s = 6;
    options.scale_percent = 1;
    options.format = argc > 3 ? AIODUCT_KIT_TAP : AIODUCT_KIT_VERBOSE;
    return aioduct_kit_run(&options);
}
