/* SPDX-License-Identifier: MIT */
/* Each table is described by a list of its function members: name, offset, and what stands in for
 * it if the plugin has none; NULL there means that a plugin without it is refused. */
#include "plugin/tables.h"

#include "base/error.h"
#include "plugin/mapped.h"
#include "plugin/note.h"
#include "plugin/text.h"

#include <stdio.h>
#include <string.h>

enum {
    /* Layouts are co-allocated with every task, timer and stream: more than this is a wrong number.
     */
    LAYOUT_BYTES_MAX = 1 << 20,
    LAYOUT_ALIGN_MAX = 4096,
    /* What ABI 1.0 had; a shorter descriptor was never built from any header. */
    DESCRIPTOR_BYTES_MIN = offsetof(struct aioduct_plugin, get_interface) + sizeof(void *)
};

/* ---- stubs for optional members ---- */

static int no_turn(void *rt, int64_t timeout_ns)
{
    (void)rt;
    (void)timeout_ns;
    return AIODUCT_E_UNSUPPORTED;
}

static int no_poll_fd(void *rt)
{
    (void)rt;
    return AIODUCT_E_UNSUPPORTED;
}

static int no_after_fork_child(void *rt)
{
    (void)rt;
    return AIODUCT_E_FORKED;
}

static int no_stream_info(void *state, struct aioduct_stream_info *info)
{
    (void)state;
    (void)info;
    return AIODUCT_E_UNSUPPORTED;
}

static int no_send_file(void *state, int fd, int64_t offset, size_t bytes)
{
    (void)state;
    (void)fd;
    (void)offset;
    (void)bytes;
    return AIODUCT_E_UNSUPPORTED;
}

static void no_recv_at(void *state, void *memory, size_t bytes)
{
    (void)state;
    (void)memory;
    (void)bytes;
}

/* A runtime whose callbacks all come from prepare and complete has none of its frames to leave. */
static void no_leave(void *rt, void (*gone)(void *arg), void *arg)
{
    (void)rt;
    (void)gone;
    (void)arg;
}

static void no_abandon(void *rt)
{
    (void)rt;
}

static int no_complete(void *rt, uint64_t user_data, int32_t result, uint32_t flags)
{
    (void)rt;
    (void)user_data;
    (void)result;
    (void)flags;
    return AIODUCT_E_UNSUPPORTED;
}

static int no_prepare(void *rt)
{
    (void)rt;
    return AIODUCT_E_UNSUPPORTED;
}

/* ---- what the tables look like ---- */

struct member {
    const char *name;
    size_t offset;
    ad_any_fn stub;
    bool is_list; /* of names; else a function */
};

struct table {
    const char *id;
    unsigned cap;
    size_t offset, bytes;  /* of our copy in struct ad_plugin */
    const size_t *layouts; /* offsets in the table */
    size_t layout_count;
    const struct member *members;
    size_t member_count;
};

#define REQUIRED(type, member)                       \
    {                                                \
#member, offsetof(type, member), NULL, false \
    }
#define REQUIRED_LIST(type, member)                 \
    {                                               \
#member, offsetof(type, member), NULL, true \
    }
#define OPTIONAL(type, member, stub)                            \
    {                                                           \
#member, offsetof(type, member), (ad_any_fn)stub, false \
    }
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const size_t runtime_layouts[] = {offsetof(struct aioduct_runtime, rt),
                                         offsetof(struct aioduct_runtime, task)};
static const struct member runtime_members[] = {
    REQUIRED(struct aioduct_runtime, open),
    REQUIRED(struct aioduct_runtime, close),
    REQUIRED(struct aioduct_runtime, block_on),
    REQUIRED(struct aioduct_runtime, wake),
    REQUIRED(struct aioduct_runtime, now_ns),
    OPTIONAL(struct aioduct_runtime, turn, no_turn),
    OPTIONAL(struct aioduct_runtime, poll_fd, no_poll_fd),
    OPTIONAL(struct aioduct_runtime, after_fork_child, no_after_fork_child),
};

static const size_t poll_layouts[] = {offsetof(struct aioduct_runtime_poll, timer)};
static const struct member poll_members[] = {
    REQUIRED(struct aioduct_runtime_poll, spawn_send),
    REQUIRED(struct aioduct_runtime_poll, sleep),
    REQUIRED(struct aioduct_runtime_poll, sleep_cancel),
};

static const size_t local_layouts[] = {offsetof(struct aioduct_runtime_local, timer)};
static const struct member local_members[] = {
    REQUIRED(struct aioduct_runtime_local, spawn_local),
    REQUIRED(struct aioduct_runtime_local, sleep),
    REQUIRED(struct aioduct_runtime_local, sleep_cancel),
};

static const size_t connector_layouts[] = {offsetof(struct aioduct_connector, cx),
                                           offsetof(struct aioduct_connector, stream)};
static const struct member connector_members[] = {
    REQUIRED(struct aioduct_connector, open),
    REQUIRED(struct aioduct_connector, close),
    REQUIRED(struct aioduct_connector, connect),
    REQUIRED(struct aioduct_connector, recv_start),
    REQUIRED(struct aioduct_connector, recv_stop),
    REQUIRED(struct aioduct_connector, send),
    REQUIRED(struct aioduct_connector, shutdown),
    REQUIRED(struct aioduct_connector, cancel),
    REQUIRED(struct aioduct_connector, stream_close),
    OPTIONAL(struct aioduct_connector, stream_info, no_stream_info),
    OPTIONAL(struct aioduct_connector, send_file, no_send_file),
    OPTIONAL(struct aioduct_connector, recv_at, no_recv_at),
};

static const struct member foreign_members[] = {
    REQUIRED_LIST(struct aioduct_runtime_foreign, kinds),
    REQUIRED(struct aioduct_runtime_foreign, settle),
    OPTIONAL(struct aioduct_runtime_foreign, leave, no_leave),
    OPTIONAL(struct aioduct_runtime_foreign, abandon, no_abandon),
    OPTIONAL(struct aioduct_runtime_foreign, complete, no_complete),
    OPTIONAL(struct aioduct_runtime_foreign, prepare, no_prepare),
};

#define TABLE(id, cap, member)                                                                   \
    {                                                                                            \
        id, cap, offsetof(struct ad_plugin, member), sizeof(((struct ad_plugin *)0)->member),    \
            member##_layouts, COUNT(member##_layouts), member##_members, COUNT(member##_members) \
    }
static const struct table tables[] = {
    TABLE(AIODUCT_IFACE_RUNTIME, AD_CAP_RUNTIME, runtime),
    TABLE(AIODUCT_IFACE_POLL, AD_CAP_POLL, poll),
    TABLE(AIODUCT_IFACE_LOCAL, AD_CAP_LOCAL, local),
    TABLE(AIODUCT_IFACE_CONNECTOR, AD_CAP_CONNECTOR, connector),
    {AIODUCT_IFACE_FOREIGN, AD_CAP_FOREIGN, offsetof(struct ad_plugin, foreign),
     sizeof(struct aioduct_runtime_foreign), NULL, 0, foreign_members, COUNT(foreign_members)},
};

/* ---- descriptor ---- */

int ad_tables_check_abi(unsigned major, unsigned minor_needed, unsigned minor_built,
                        const char *where, struct aioduct_error *error)
{
    if (major != AIODUCT_ABI_MAJOR) {
        ad_plugin_fail(error, AIODUCT_E_PLUGIN_ABI,
                       "%s was built for aioduct ABI %u; this library speaks %d", where, major,
                       AIODUCT_ABI_MAJOR);
        ad_error_hint(error, "Install a build of the plugin for ABI %d%s.", AIODUCT_ABI_MAJOR,
                      major > AIODUCT_ABI_MAJOR ? ", or upgrade libaioduct" : "");
        return AIODUCT_E_PLUGIN_ABI;
    }
    if (minor_needed > AIODUCT_ABI_MINOR) {
        ad_plugin_fail(error, AIODUCT_E_PLUGIN_ABI,
                       "%s needs ABI %u.%u (built with %u.%u); this library has %d.%d", where,
                       major, minor_needed, major, minor_built, AIODUCT_ABI_MAJOR,
                       AIODUCT_ABI_MINOR);
        ad_error_hint(error, "Upgrade libaioduct.");
        return AIODUCT_E_PLUGIN_ABI;
    }
    return 0;
}

static int check_name(const struct aioduct_plugin *d, const char *where, const struct ad_note *note,
                      struct aioduct_error *error)
{
    char shown[64];
    ad_text_copy(shown, sizeof shown, d->name == NULL ? "(none)" : d->name);
    if (d->name == NULL ||
        !ad_name_valid((struct ad_slice){d->name, strnlen(d->name, AD_NAME_BYTES_MAX + 1)})) {
        return ad_plugin_fail(error, AIODUCT_E_PLUGIN_INVALID,
                              "%s: the descriptor's name '%s' is malformed", where, shown);
    }
    if (note != NULL && strcmp(d->name, note->name) != 0) {
        const char *file = strrchr(where, '/');
        return ad_plugin_fail(error, AIODUCT_E_PLUGIN_INVALID,
                              "%s: the names disagree: file %s, note '%s', descriptor '%s'", where,
                              file == NULL ? where : file + 1, note->name, shown);
    }
    return 0;
}

/* ---- damage ---- */

/* A file whose bytes changed on the disk loads like any other. What is linked into the program is
 * not looked at so closely: a program that is damaged has other worries. */
static int damaged(const char *where, const char *what, const char *why,
                   struct aioduct_error *error)
{
    ad_plugin_fail(error, AIODUCT_E_PLUGIN_INVALID, "%s: %s %s: the file is damaged", where, what,
                   why);
    ad_error_hint(error, "Install the plugin again.");
    return AIODUCT_E_PLUGIN_INVALID;
}

static int check_place(const struct aioduct_plugin *d, const char *where,
                       struct aioduct_error *error)
{
    if ((uintptr_t)d % _Alignof(struct aioduct_plugin) != 0 ||
        ad_mapped_bytes(d) < DESCRIPTOR_BYTES_MIN) {
        return damaged(where, "aioduct_plugin_entry_1", "leads nowhere", error);
    }
    return 0;
}

static int check_pointers(const struct aioduct_plugin *d, const char *where,
                          struct aioduct_error *error)
{
    const struct {
        const char *name, *text;
    } texts[] = {
        {"the descriptor's name", d->name},       {"the descriptor's version", d->version},
        {"the descriptor's vendor", d->vendor},   {"the descriptor's url", d->url},
        {"the descriptor's summary", d->summary},
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        if (texts[i].text != NULL && !ad_mapped_text(texts[i].text)) {
            return damaged(where, texts[i].name, "leads nowhere", error);
        }
    }
    if (d->guard_symbols != NULL && !ad_mapped_texts(d->guard_symbols)) {
        return damaged(where, "the descriptor's guard_symbols", "leads nowhere", error);
    }
    const char *wrong = d->probe == NULL ? NULL : ad_mapped_own_function((ad_any_fn)d->probe, d);
    if (wrong != NULL) {
        return damaged(where, "the descriptor's probe", wrong, error);
    }
    wrong =
        d->get_interface == NULL ? NULL : ad_mapped_own_function((ad_any_fn)d->get_interface, d);
    return wrong == NULL ? 0 : damaged(where, "the descriptor's get_interface", wrong, error);
}

int ad_tables_check_descriptor(const struct aioduct_plugin *d, const char *where,
                               const struct ad_note *note, struct aioduct_error *error)
{
    int code = note == NULL ? 0 : check_place(d, where, error);
    if (code < 0) {
        return code;
    }
    if (d->magic != AIODUCT_PLUGIN_MAGIC) {
        return ad_plugin_fail(error, AIODUCT_E_PLUGIN_INVALID,
                              "%s: the descriptor's magic is %#x, not %#x", where, d->magic,
                              AIODUCT_PLUGIN_MAGIC);
    }
    if (d->size < DESCRIPTOR_BYTES_MIN) {
        return ad_plugin_fail(error, AIODUCT_E_PLUGIN_INVALID,
                              "%s: the descriptor has %u bytes; ABI 1.0 has %d", where, d->size,
                              (int)DESCRIPTOR_BYTES_MIN);
    }
    code = ad_tables_check_abi(d->abi_major, d->abi_minor_needed, d->abi_minor_built, where, error);
    if (code == 0 && note != NULL) {
        code = d->size > ad_mapped_bytes(d)
                   ? damaged(where, "the descriptor", "is longer than what is there", error)
                   : check_pointers(d, where, error);
    }
    code = code < 0 ? code : check_name(d, where, note, error);
    if (code == 0 && d->get_interface == NULL) {
        code = ad_plugin_fail(error, AIODUCT_E_PLUGIN_INVALID,
                              "%s: the descriptor has no get_interface", where);
    }
    return code;
}

/* ---- tables ---- */

static ad_any_fn get_member(const uint8_t *table, size_t offset)
{
    ad_any_fn fn;
    memcpy(&fn, table + offset, sizeof fn);
    return fn;
}

static void set_member(uint8_t *table, size_t offset, ad_any_fn fn)
{
    memcpy(table + offset, &fn, sizeof fn);
}

/* In a plugin that was loaded from a file: does the table @from lie in what was loaded? */
static int check_table(const struct table *t, const void *from, const char *where,
                       struct aioduct_error *error)
{
    uint32_t size;
    size_t bytes = (uintptr_t)from % sizeof(void *) == 0 ? ad_mapped_bytes(from) : 0;
    if (bytes < sizeof size) {
        return damaged(where, t->id, "leads nowhere", error);
    }
    memcpy(&size, from, sizeof size);
    return size <= bytes ? 0 : damaged(where, t->id, "is longer than what is there", error);
}

static int check_member(const struct table *t, const struct member *m, const uint8_t *copy,
                        const struct aioduct_plugin *d, const char *where,
                        struct aioduct_error *error)
{
    const char *wrong = NULL;
    if (m->is_list) {
        const char *const *list;
        memcpy(&list, copy + m->offset, sizeof list);
        wrong = ad_mapped_texts(list) ? NULL : "leads nowhere";
    } else {
        wrong = ad_mapped_function(get_member(copy, m->offset), d);
    }
    if (wrong == NULL) {
        return 0;
    }
    char what[80];
    snprintf(what, sizeof what, "%s in %s", m->name, t->id);
    return damaged(where, what, wrong, error);
}

/* @d: of a file, whose members are checked; else NULL. */
static int fix_members(const struct table *t, uint8_t *copy, size_t known,
                       const struct aioduct_plugin *d, const char *where,
                       struct aioduct_error *error)
{
    int code = 0;
    for (size_t i = 0; i < t->member_count; i++) {
        const struct member *m = &t->members[i];
        if (m->offset + sizeof(ad_any_fn) <= known && get_member(copy, m->offset) != NULL) {
            code = d == NULL ? 0 : check_member(t, m, copy, d, where, error);
            if (code < 0) {
                return code;
            }
            continue;
        }
        if (m->stub == NULL) {
            return ad_plugin_fail(error, AIODUCT_E_PLUGIN_INVALID, "%s offers %s without %s", where,
                                  t->id, m->name);
        }
        set_member(copy, m->offset, m->stub);
    }
    return 0;
}

/* No state at all is written {0, 0}; allocators want at least one byte and alignment. */
static int fix_layouts(const struct table *t, uint8_t *copy, const char *where,
                       struct aioduct_error *error)
{
    for (size_t i = 0; i < t->layout_count; i++) {
        struct aioduct_layout layout;
        memcpy(&layout, copy + t->layouts[i], sizeof layout);
        if (layout.bytes > LAYOUT_BYTES_MAX || layout.align > LAYOUT_ALIGN_MAX ||
            (layout.align & (layout.align - 1)) != 0) {
            return ad_plugin_fail(error, AIODUCT_E_PLUGIN_INVALID,
                                  "%s offers %s with a layout of %u bytes aligned to %u", where,
                                  t->id, layout.bytes, layout.align);
        }
        layout.bytes += layout.bytes == 0;
        layout.align += layout.align == 0;
        memcpy(copy + t->layouts[i], &layout, sizeof layout);
    }
    return 0;
}

static int copy_table(const struct table *t, struct ad_plugin *out, const void *from, bool file,
                      const char *where, struct aioduct_error *error)
{
    uint8_t *copy = (uint8_t *)out + t->offset;
    uint32_t size;
    int code = file ? check_table(t, from, where, error) : 0;
    if (code < 0) {
        return code;
    }
    memcpy(&size, from, sizeof size);
    size_t known = size < t->bytes ? size : t->bytes;
    memset(copy, 0, t->bytes);
    memcpy(copy, from, known);
    code = fix_members(t, copy, known, file ? out->descriptor : NULL, where, error);
    code = code < 0 ? code : fix_layouts(t, copy, where, error);
    size = (uint32_t)t->bytes;
    memcpy(copy, &size, sizeof size);
    return code;
}

static int check_connector(const struct ad_plugin *p, bool file, const char *where,
                           struct aioduct_error *error)
{
    if (file && p->connector.runs_on != NULL && !ad_mapped_texts(p->connector.runs_on)) {
        return damaged(where, "runs_on in " AIODUCT_IFACE_CONNECTOR, "leads nowhere", error);
    }
    unsigned bind = p->connector.flags & (AIODUCT_BIND_SEND | AIODUCT_BIND_LOCAL);
    if (bind != AIODUCT_BIND_SEND && bind != AIODUCT_BIND_LOCAL) {
        return ad_plugin_fail(error, AIODUCT_E_PLUGIN_INVALID,
                              "%s offers %s flagged %s of send and local", where,
                              AIODUCT_IFACE_CONNECTOR, bind == 0 ? "neither" : "both");
    }
    return 0;
}

static void caps_words(unsigned caps, char out[40])
{
    struct ad_text text;
    ad_text_init(&text, out, 40);
    static const char *const words[] = {"runtime", "poll", "local", "connector"};
    for (unsigned i = 0; i < COUNT(words); i++) {
        if (caps & (1u << i)) {
            ad_text_add(&text, "%s%s", text.bytes == 0 ? "" : ",", words[i]);
        }
    }
}

void ad_tables_caps_text(unsigned caps, char out[40])
{
    caps_words(caps & ~(unsigned)AD_CAP_RUNTIME, out);
}

static int check_promise(unsigned caps, const struct ad_note *note, const char *where,
                         struct aioduct_error *error)
{
    char promised[40], offered[40];
    caps &= ~(unsigned)AD_CAP_FOREIGN;
    if (note == NULL || caps == note->caps) {
        return 0;
    }
    caps_words(note->caps, promised);
    caps_words(caps, offered);
    return ad_plugin_fail(error, AIODUCT_E_PLUGIN_INVALID,
                          "%s: the note says caps=%s, the tables offer %s", where, promised,
                          caps == 0 ? "nothing" : offered);
}

int ad_tables_copy(struct ad_plugin *out, const struct aioduct_plugin *d, const char *where,
                   const struct ad_note *note, struct aioduct_error *error)
{
    struct ad_plugin plugin = {.descriptor = d, .name = d->name};
    int code = 0;
    for (size_t i = 0; code == 0 && i < COUNT(tables); i++) {
        const void *from = d->get_interface(tables[i].id);
        if (from != NULL) {
            plugin.caps |= tables[i].cap;
            code = copy_table(&tables[i], &plugin, from, note != NULL, where, error);
        }
    }
    if (code == 0 && (plugin.caps & AD_CAP_CONNECTOR)) {
        code = check_connector(&plugin, note != NULL, where, error);
    }
    code = code < 0 ? code : check_promise(plugin.caps, note, where, error);
    if (code == 0) {
        *out = plugin;
    }
    return code;
}

/* ---- needs ---- */

bool ad_plugin_adopts(const struct ad_plugin *plugin, const char *kind)
{
    if (!(plugin->caps & AD_CAP_FOREIGN)) {
        return false;
    }
    for (const char *const *it = plugin->foreign.kinds; *it != NULL; it++) {
        if (strcmp(*it, kind) == 0) {
            return true;
        }
    }
    return false;
}

int ad_tables_check_need(unsigned caps, unsigned need, const char *name, const char *origin,
                         struct aioduct_error *error)
{
    char offered[40];
    const unsigned any_timer = AD_CAP_POLL | AD_CAP_LOCAL;
    ad_tables_caps_text(caps, offered);
    const char *asked = NULL, *hint = "";
    if (!(caps & AD_CAP_RUNTIME)) {
        asked = "a runtime";
    } else if ((need & AD_CAP_POLL) && !(caps & AD_CAP_POLL)) {
        asked = "send (submit from any thread)";
        hint = "Give the client workers, or choose a poll runtime: libev, libevent, epoll.";
    } else if ((need & AD_CAP_LOCAL) && !(caps & AD_CAP_LOCAL)) {
        asked = "local (bound to one thread)";
        hint = "Choose a local runtime: uring.";
    } else if (!(caps & any_timer)) {
        asked = "tasks and timers (poll or local)";
    } else if (!(caps & AD_CAP_CONNECTOR)) {
        asked = "a connector";
    } else {
        return 0;
    }
    ad_plugin_fail(error, AIODUCT_E_PLUGIN_CAPABILITY,
                   "runtime '%s' (%s) offers %s; this client asked for %s", name, origin,
                   offered[0] == '\0' ? "no capability beside block_on" : offered, asked);
    ad_error_hint(error, "%s", hint);
    return AIODUCT_E_PLUGIN_CAPABILITY;
}
