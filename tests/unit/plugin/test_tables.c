/* SPDX-License-Identifier: MIT */
/* From a plugin's tables to ours: each required member, each size a table may have had. */
#include "plugin/note.h"
#include "plugin/tables.h"

#include "tap.h"

#include <stdio.h>
#include <string.h>

typedef void (*any_fn)(void);

static void some_function(void)
{
}

/* Every member of every table is set; the cases take some away. */
static struct aioduct_runtime runtime;
static struct aioduct_runtime_poll poll_table;
static struct aioduct_runtime_local local_table;
static struct aioduct_connector connector;
static struct aioduct_runtime_foreign foreign;

static const void *interfaces(const char *id)
{
    return strcmp(id, AIODUCT_IFACE_RUNTIME) == 0     ? (const void *)&runtime
           : strcmp(id, AIODUCT_IFACE_POLL) == 0      ? (const void *)&poll_table
           : strcmp(id, AIODUCT_IFACE_LOCAL) == 0     ? (const void *)&local_table
           : strcmp(id, AIODUCT_IFACE_CONNECTOR) == 0 ? (const void *)&connector
           : strcmp(id, AIODUCT_IFACE_FOREIGN) == 0   ? (const void *)&foreign
                                                      : NULL;
}

static const struct aioduct_plugin descriptor = {
    .magic = AIODUCT_PLUGIN_MAGIC,
    .size = sizeof descriptor,
    .abi_major = AIODUCT_ABI_MAJOR,
    .name = "tables",
    .get_interface = interfaces,
};

struct member {
    const char *id, *name;
    void *table;
    size_t offset;
    bool required;
};
#define R(id, table, member)                                           \
    {                                                                  \
        id, #member, &table, offsetof(__typeof__(table), member), true \
    }
#define O(id, table, member)                                            \
    {                                                                   \
        id, #member, &table, offsetof(__typeof__(table), member), false \
    }
/* clang-format off */
static const struct member members[] = {
    R(AIODUCT_IFACE_RUNTIME, runtime, open), R(AIODUCT_IFACE_RUNTIME, runtime, close),
    R(AIODUCT_IFACE_RUNTIME, runtime, block_on), R(AIODUCT_IFACE_RUNTIME, runtime, wake),
    R(AIODUCT_IFACE_RUNTIME, runtime, now_ns), O(AIODUCT_IFACE_RUNTIME, runtime, turn),
    O(AIODUCT_IFACE_RUNTIME, runtime, poll_fd), O(AIODUCT_IFACE_RUNTIME, runtime, after_fork_child),
    R(AIODUCT_IFACE_POLL, poll_table, spawn_send), R(AIODUCT_IFACE_POLL, poll_table, sleep),
    R(AIODUCT_IFACE_POLL, poll_table, sleep_cancel),
    R(AIODUCT_IFACE_LOCAL, local_table, spawn_local), R(AIODUCT_IFACE_LOCAL, local_table, sleep),
    R(AIODUCT_IFACE_LOCAL, local_table, sleep_cancel),
    R(AIODUCT_IFACE_CONNECTOR, connector, open), R(AIODUCT_IFACE_CONNECTOR, connector, close),
    R(AIODUCT_IFACE_CONNECTOR, connector, connect),
    R(AIODUCT_IFACE_CONNECTOR, connector, recv_start),
    R(AIODUCT_IFACE_CONNECTOR, connector, recv_stop), R(AIODUCT_IFACE_CONNECTOR, connector, send),
    R(AIODUCT_IFACE_CONNECTOR, connector, shutdown), R(AIODUCT_IFACE_CONNECTOR, connector, cancel),
    R(AIODUCT_IFACE_CONNECTOR, connector, stream_close),
    O(AIODUCT_IFACE_CONNECTOR, connector, stream_info),
    O(AIODUCT_IFACE_CONNECTOR, connector, send_file),
    O(AIODUCT_IFACE_CONNECTOR, connector, recv_at),
    R(AIODUCT_IFACE_FOREIGN, foreign, kinds), R(AIODUCT_IFACE_FOREIGN, foreign, settle),
    O(AIODUCT_IFACE_FOREIGN, foreign, leave), O(AIODUCT_IFACE_FOREIGN, foreign, abandon),
    O(AIODUCT_IFACE_FOREIGN, foreign, complete), O(AIODUCT_IFACE_FOREIGN, foreign, prepare),
};
/* clang-format on */
enum { MEMBER_COUNT = sizeof members / sizeof members[0] };

static const char *const no_kinds[] = {NULL};

static int fill(void **state)
{
    (void)state;
    any_fn fn = some_function;
    runtime = (struct aioduct_runtime){.size = sizeof runtime, .rt = {1, 1}, .task = {2, 2}};
    poll_table = (struct aioduct_runtime_poll){.size = sizeof poll_table, .timer = {4, 4}};
    local_table = (struct aioduct_runtime_local){.size = sizeof local_table, .timer = {8, 8}};
    connector = (struct aioduct_connector){.size = sizeof connector, .flags = AIODUCT_BIND_SEND};
    foreign = (struct aioduct_runtime_foreign){.size = sizeof foreign};
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        memcpy((char *)members[i].table + members[i].offset, &fn, sizeof fn);
    }
    foreign.kinds = no_kinds;
    return 0;
}

static int copy(struct ad_plugin *out, struct aioduct_error *error)
{
    return ad_tables_copy(out, &descriptor, "/here.so", NULL, error);
}

static void test_whole(void **state)
{
    (void)state;
    struct ad_plugin plugin;
    assert_int_equal(copy(&plugin, NULL), 0);
    assert_int_equal(plugin.caps, AD_CAP_RUNTIME | AD_CAP_POLL | AD_CAP_LOCAL | AD_CAP_CONNECTOR |
                                      AD_CAP_FOREIGN);
    assert_memory_equal(&plugin.foreign, &foreign, sizeof foreign);
    assert_memory_equal(&plugin.runtime, &runtime, sizeof runtime);
    assert_memory_equal(&plugin.poll, &poll_table, sizeof poll_table);
    assert_memory_equal(&plugin.local, &local_table, sizeof local_table);
    assert_int_equal(plugin.connector.cx.align, 1); /* {0, 0} is made allocatable */
    assert_ptr_equal(plugin.connector.send, connector.send);
}

static void test_kinds(void **state)
{
    (void)state;
    static const char *const kinds[] = {"reel", "tape", NULL};
    struct ad_plugin plugin;
    foreign.kinds = kinds;
    assert_int_equal(copy(&plugin, NULL), 0);
    assert_true(ad_plugin_adopts(&plugin, "reel") && ad_plugin_adopts(&plugin, "tape"));
    assert_false(ad_plugin_adopts(&plugin, "tap") || ad_plugin_adopts(&plugin, ""));
    plugin.caps &= ~(unsigned)AD_CAP_FOREIGN;
    assert_false(ad_plugin_adopts(&plugin, "reel"));
}

static void set_member(const struct member *m, any_fn fn)
{
    memcpy((char *)m->table + m->offset, &fn, sizeof fn);
}

static void expect_missing(const struct member *m)
{
    struct ad_plugin plugin = {.caps = 77};
    struct aioduct_error error = {0};
    char want[100];
    snprintf(want, sizeof want, "/here.so offers %s without %s", m->id, m->name);
    assert_int_equal(copy(&plugin, &error), AIODUCT_E_PLUGIN_INVALID);
    assert_string_equal(error.message, want);
    assert_int_equal(plugin.caps, 77);
}

static void test_missing(void **state)
{
    (void)state;
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        struct ad_plugin plugin;
        set_member(&members[i], NULL);
        if (members[i].required) {
            expect_missing(&members[i]);
        } else {
            assert_int_equal(copy(&plugin, NULL), 0);
        }
        set_member(&members[i], some_function);
    }
}

/* A table that ends anywhere inside or before a member does not have it. */
static void test_sizes(void **state)
{
    (void)state;
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        const struct member *m = &members[i];
        uint32_t *size = m->table, whole = *size;
        for (size_t inside = 0; inside < sizeof(any_fn); inside++) {
            struct ad_plugin plugin;
            *size = (uint32_t)(m->offset + inside);
            if (m->required) {
                expect_missing(m);
                continue;
            }
            assert_int_equal(copy(&plugin, NULL), 0);
            assert_int_equal(plugin.runtime.size, sizeof plugin.runtime);
            assert_int_equal(plugin.connector.size, sizeof plugin.connector);
            assert_int_equal(plugin.runtime.after_fork_child(NULL) == AIODUCT_E_FORKED,
                             m->table == &runtime);
        }
        *size = whole;
    }
}

static void test_stubs(void **state)
{
    (void)state;
    struct ad_plugin plugin;
    struct aioduct_stream_info info = {.size = sizeof info};
    runtime.turn = NULL;
    runtime.poll_fd = NULL;
    runtime.after_fork_child = NULL;
    connector.stream_info = NULL;
    assert_int_equal(copy(&plugin, NULL), 0);
    assert_int_equal(plugin.runtime.turn(NULL, 0), AIODUCT_E_UNSUPPORTED);
    assert_int_equal(plugin.runtime.poll_fd(NULL), AIODUCT_E_UNSUPPORTED);
    assert_int_equal(plugin.runtime.after_fork_child(NULL), AIODUCT_E_FORKED);
    assert_int_equal(plugin.connector.stream_info(NULL, &info), AIODUCT_E_UNSUPPORTED);
}

static void test_promise(void **state)
{
    (void)state;
    struct ad_plugin plugin;
    struct aioduct_error error = {0};
    struct ad_note note = {.caps = AD_CAP_RUNTIME};
    assert_int_equal(ad_tables_copy(&plugin, &descriptor, "/here.so", &note, &error),
                     AIODUCT_E_PLUGIN_INVALID);
    assert_string_equal(error.message, "/here.so: the note says caps=runtime, the tables offer "
                                       "runtime,poll,local,connector");
    note.caps = AD_CAP_RUNTIME | AD_CAP_POLL | AD_CAP_LOCAL | AD_CAP_CONNECTOR;
    assert_int_equal(ad_tables_copy(&plugin, &descriptor, "/here.so", &note, &error), 0);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"a whole set of tables is copied", test_whole, fill, NULL, NULL},
        {"loops of the kinds that a runtime names are adopted", test_kinds, fill, NULL, NULL},
        {"each required member is missed by its name", test_missing, fill, NULL, NULL},
        {"a table that ends before a member's end does not have it", test_sizes, fill, NULL, NULL},
        {"what is optional and absent answers by a stub", test_stubs, fill, NULL, NULL},
        {"the tables are what the note promised", test_promise, fill, NULL, NULL},
    };
    return TAP_RUN(cases, NULL, NULL);
}
