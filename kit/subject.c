/* SPDX-License-Identifier: MIT */
#include "subject.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static struct ct_subject subject;

/* Full-size copies: what a plugin's table does not reach is NULL. */
static struct {
    struct aioduct_runtime rt;
    struct aioduct_runtime_poll poll;
    struct aioduct_runtime_local local;
    struct aioduct_connector cx, base;
} tables;

/* The members of minor 0. */
enum {
    RUNTIME_BYTES_MIN = offsetof(struct aioduct_runtime, turn),
    POLL_BYTES_MIN = sizeof(struct aioduct_runtime_poll),
    LOCAL_BYTES_MIN = sizeof(struct aioduct_runtime_local),
    CONNECTOR_BYTES_MIN = offsetof(struct aioduct_connector, stream_info),
    PLUGIN_BYTES_MIN = sizeof(struct aioduct_plugin)
};

static const struct aioduct_plugin *open_target(const struct ct_target *target, char *why)
{
    if (target->plugin != NULL) {
        return target->plugin;
    }
    void *library = dlopen(target->path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library == NULL) {
        snprintf(why, CT_WHY_BYTES, "%.500s", dlerror());
        return NULL;
    }
    const struct aioduct_plugin *plugin = dlsym(library, "aioduct_plugin_entry_1");
    if (plugin == NULL) {
        snprintf(why, CT_WHY_BYTES, "it has no aioduct_plugin_entry_1");
    }
    return plugin;
}

static bool is_descriptor(const struct aioduct_plugin *plugin, char *why)
{
    if (plugin->magic != AIODUCT_PLUGIN_MAGIC) {
        snprintf(why, CT_WHY_BYTES, "its magic is %#x, not %#x", (unsigned)plugin->magic,
                 AIODUCT_PLUGIN_MAGIC);
    } else if (plugin->abi_major != AIODUCT_ABI_MAJOR) {
        snprintf(why, CT_WHY_BYTES, "it is of ABI %u, not %d", (unsigned)plugin->abi_major,
                 AIODUCT_ABI_MAJOR);
    } else if (plugin->size < PLUGIN_BYTES_MIN) {
        snprintf(why, CT_WHY_BYTES, "its descriptor has %u bytes, not %u", (unsigned)plugin->size,
                 (unsigned)PLUGIN_BYTES_MIN);
    } else if (plugin->abi_minor_needed > AIODUCT_ABI_MINOR) {
        snprintf(why, CT_WHY_BYTES, "it needs ABI %d.%u; this kit knows %d.%d", AIODUCT_ABI_MAJOR,
                 (unsigned)plugin->abi_minor_needed, AIODUCT_ABI_MAJOR, AIODUCT_ABI_MINOR);
    } else if (plugin->name == NULL || plugin->get_interface == NULL) {
        snprintf(why, CT_WHY_BYTES, "it lacks a name or get_interface");
    } else {
        return true;
    }
    return false;
}

/* Copy what the plugin has of a table. -> is it long enough? */
static bool copy(void *out, size_t bytes, const void *table, size_t bytes_min, const char *id,
                 char *why)
{
    uint32_t size;
    memcpy(&size, table, sizeof size);
    memset(out, 0, bytes);
    memcpy(out, table, size < bytes ? size : bytes);
    if (size < bytes_min) {
        snprintf(why, CT_WHY_BYTES, "its table %s has %u bytes, not %zu", id, (unsigned)size,
                 bytes_min);
        return false;
    }
    return true;
}

/* ---- what a table must have ---- */

struct member {
    const char *name;
    size_t at;
};
#define MEMBER(type, name)                 \
    {                                      \
#name, offsetof(struct type, name) \
    }

static const struct member runtime_members[] = {
    MEMBER(aioduct_runtime, open),     MEMBER(aioduct_runtime, close),
    MEMBER(aioduct_runtime, block_on), MEMBER(aioduct_runtime, wake),
    MEMBER(aioduct_runtime, now_ns),   {NULL, 0},
};
static const struct member poll_members[] = {
    MEMBER(aioduct_runtime_poll, spawn_send),
    MEMBER(aioduct_runtime_poll, sleep),
    MEMBER(aioduct_runtime_poll, sleep_cancel),
    {NULL, 0},
};
static const struct member local_members[] = {
    MEMBER(aioduct_runtime_local, spawn_local),
    MEMBER(aioduct_runtime_local, sleep),
    MEMBER(aioduct_runtime_local, sleep_cancel),
    {NULL, 0},
};
static const struct member connector_members[] = {
    MEMBER(aioduct_connector, open),         MEMBER(aioduct_connector, close),
    MEMBER(aioduct_connector, connect),      MEMBER(aioduct_connector, recv_start),
    MEMBER(aioduct_connector, recv_stop),    MEMBER(aioduct_connector, send),
    MEMBER(aioduct_connector, shutdown),     MEMBER(aioduct_connector, cancel),
    MEMBER(aioduct_connector, stream_close), {NULL, 0},
};

static bool has_members(const void *table, const struct member *members, const char *id, char *why)
{
    for (; members->name != NULL; members++) {
        void *function;
        memcpy(&function, (const char *)table + members->at, sizeof function);
        if (function == NULL) {
            snprintf(why, CT_WHY_BYTES, "it offers %s without %s", id, members->name);
            return false;
        }
    }
    return true;
}

static bool is_layout(struct aioduct_layout layout, const char *id, char *why)
{
    if (layout.align > 0 && (layout.align & (layout.align - 1)) == 0 && layout.align <= 4096 &&
        layout.bytes <= 1 << 20) {
        return true;
    }
    snprintf(why, CT_WHY_BYTES,
             "%s: a layout of %u bytes aligned to %u is above 1 MiB, or its alignment is not a "
             "power of two up to 4096",
             id, (unsigned)layout.bytes, (unsigned)layout.align);
    return false;
}

#define TAKE(table, from, bytes_min, members, id)                     \
    (copy(&(table), sizeof(table), (from), (bytes_min), (id), why) && \
     has_members(&(table), (members), (id), why))

static bool take_runtime(const struct aioduct_plugin *plugin, char *why)
{
    const void *rt = plugin->get_interface(AIODUCT_IFACE_RUNTIME);
    const void *poll = plugin->get_interface(AIODUCT_IFACE_POLL);
    const void *local = plugin->get_interface(AIODUCT_IFACE_LOCAL);
    if (rt == NULL || (poll == NULL && local == NULL)) {
        snprintf(why, CT_WHY_BYTES, "%.32s does not offer %s", plugin->name,
                 rt == NULL ? AIODUCT_IFACE_RUNTIME
                            : AIODUCT_IFACE_POLL " or " AIODUCT_IFACE_LOCAL);
        return false;
    }
    if (!TAKE(tables.rt, rt, RUNTIME_BYTES_MIN, runtime_members, AIODUCT_IFACE_RUNTIME) ||
        !is_layout(tables.rt.rt, AIODUCT_IFACE_RUNTIME, why) ||
        !is_layout(tables.rt.task, AIODUCT_IFACE_RUNTIME, why)) {
        return false;
    }
    if (poll != NULL &&
        (!TAKE(tables.poll, poll, POLL_BYTES_MIN, poll_members, AIODUCT_IFACE_POLL) ||
         !is_layout(tables.poll.timer, AIODUCT_IFACE_POLL, why))) {
        return false;
    }
    if (local != NULL &&
        (!TAKE(tables.local, local, LOCAL_BYTES_MIN, local_members, AIODUCT_IFACE_LOCAL) ||
         !is_layout(tables.local.timer, AIODUCT_IFACE_LOCAL, why))) {
        return false;
    }
    subject.rt = &tables.rt;
    subject.poll = poll == NULL ? NULL : &tables.poll;
    subject.local = local == NULL ? NULL : &tables.local;
    return true;
}

static bool take_connector(struct aioduct_connector *out, const void *cx, char *why)
{
    return TAKE(*out, cx, CONNECTOR_BYTES_MIN, connector_members, AIODUCT_IFACE_CONNECTOR) &&
           is_layout(out->cx, AIODUCT_IFACE_CONNECTOR, why) &&
           is_layout(out->stream, AIODUCT_IFACE_CONNECTOR, why);
}

/* What a layer sits on: the runtime's own connector. */
static bool take_base(const struct aioduct_plugin *runtime, char *why)
{
    const void *base = runtime->get_interface(AIODUCT_IFACE_CONNECTOR);
    if (base == NULL) {
        snprintf(why, CT_WHY_BYTES, "%.32s has no connector for the layer to sit on",
                 runtime->name);
        return false;
    }
    subject.base = &tables.base;
    return take_connector(&tables.base, base, why);
}

static void choose_timers(void)
{
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
}

static bool take_tables(const struct ct_target *runtime, char *why)
{
    const struct aioduct_plugin *plugin = subject.plugin;
    const void *cx = plugin->get_interface(AIODUCT_IFACE_CONNECTOR);
    subject.connector_alone = plugin->get_interface(AIODUCT_IFACE_RUNTIME) == NULL;
    if (subject.connector_alone && cx == NULL) {
        snprintf(why, CT_WHY_BYTES, "it offers neither %s nor %s", AIODUCT_IFACE_RUNTIME,
                 AIODUCT_IFACE_CONNECTOR);
        return false;
    }
    if (cx != NULL && !take_connector(&tables.cx, cx, why)) {
        return false;
    }
    subject.cx = cx == NULL ? NULL : &tables.cx;
    if (subject.connector_alone) {
        if (runtime == NULL) {
            snprintf(why, CT_WHY_BYTES,
                     "it is a connector alone: --runtime says on what to run it");
            return false;
        }
        plugin = open_target(runtime, why);
        if (plugin == NULL || !is_descriptor(plugin, why) ||
            ((tables.cx.flags & AIODUCT_CX_LAYER) && !take_base(plugin, why))) {
            return false;
        }
    }
    if (!take_runtime(plugin, why)) {
        return false;
    }
    choose_timers();
    return true;
}

enum ct_loaded ct_subject_load(const struct ct_target *plugin, const struct ct_target *runtime,
                               char *why)
{
    memset(&subject, 0, sizeof subject);
    why[0] = '\0';
    subject.path = plugin->plugin == NULL ? plugin->path : NULL;
    subject.plugin = open_target(plugin, why);
    if (subject.plugin == NULL) {
        return CT_LOADED_NOT;
    }
    if (!is_descriptor(subject.plugin, why)) {
        return CT_LOADED_OBJECT;
    }
    subject.name = subject.plugin->name;
    return take_tables(runtime, why) ? CT_LOADED_TABLES : CT_LOADED_PLUGIN;
}

const struct ct_subject *ct_subject(void)
{
    return &subject;
}
