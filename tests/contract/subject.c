/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WHY_BYTES = 256, PATH_BYTES = 4096 };

/* Linked in, as the core does it. */
extern const struct aioduct_plugin aioduct_plugin_epoll;

static struct ct_subject subject;

static const struct aioduct_plugin *open_file(const char *path, char *why)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library == NULL) {
        snprintf(why, WHY_BYTES, "%.250s", dlerror());
        return NULL;
    }
    const struct aioduct_plugin *plugin = dlsym(library, "aioduct_plugin_entry_1");
    if (plugin == NULL) {
        snprintf(why, WHY_BYTES, "%.200s has no aioduct_plugin_entry_1", path);
    }
    return plugin;
}

static const struct aioduct_plugin *search(const char *name, char *why)
{
    const char *directories = getenv("AIODUCT_PLUGIN_PATH");
    snprintf(why, WHY_BYTES, "no libaioduct-rt-%.32s.so in AIODUCT_PLUGIN_PATH", name);
    while (directories != NULL && *directories != '\0') {
        size_t bytes = strcspn(directories, ":");
        char path[PATH_BYTES];
        snprintf(path, sizeof path, "%.*s/libaioduct-rt-%s.so", (int)bytes, directories, name);
        if (bytes > 0 && access(path, F_OK) == 0) {
            return open_file(path, why);
        }
        directories += bytes + (directories[bytes] == ':');
    }
    return NULL;
}

static bool take_tables(const struct aioduct_plugin *plugin, char *why)
{
    subject.plugin = plugin;
    subject.name = plugin->name;
    subject.rt = plugin->get_interface(AIODUCT_IFACE_RUNTIME);
    subject.poll = plugin->get_interface(AIODUCT_IFACE_POLL);
    subject.local = plugin->get_interface(AIODUCT_IFACE_LOCAL);
    subject.cx = plugin->get_interface(AIODUCT_IFACE_CONNECTOR);
    if (subject.rt == NULL || subject.cx == NULL ||
        (subject.poll == NULL && subject.local == NULL)) {
        snprintf(why, WHY_BYTES,
                 "%.32s lacks a table: the suite needs runtime, connector, and poll or local",
                 plugin->name);
        return false;
    }
    if (subject.poll != NULL) {
        subject.timer = subject.poll->timer;
        subject.spawn = subject.poll->spawn_send;
        subject.sleep = subject.poll->sleep;
        subject.sleep_cancel = subject.poll->sleep_cancel;
        subject.any_thread = true;
    } else {
        subject.timer = subject.local->timer;
        subject.spawn = subject.local->spawn_local;
        subject.sleep = subject.local->sleep;
        subject.sleep_cancel = subject.local->sleep_cancel;
    }
    return true;
}

const struct ct_subject *ct_subject_load(char *why)
{
    if (subject.plugin != NULL) {
        return &subject;
    }
    const char *name = getenv("AIODUCT_RUNTIME");
    const struct aioduct_plugin *plugin;
    if (name == NULL || strcmp(name, "epoll") == 0) {
        plugin = &aioduct_plugin_epoll;
    } else if (name[0] == '/') {
        plugin = open_file(name, why);
    } else {
        plugin = search(name, why);
    }
    if (plugin == NULL || !take_tables(plugin, why)) {
        return NULL;
    }
    return &subject;
}

const struct ct_subject *ct_subject(void)
{
    return &subject;
}
