/* SPDX-License-Identifier: MIT */
/* Which connectors a word means, and which of them fit a runtime and each other. LY-8. */
#include "plugin/register.h"
#include "plugin/registry.h"

#include "tap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef void (*any_fn)(void);

static void some_function(void)
{
}

/* ---- connectors, none of which is ever opened ---- */

static struct aioduct_connector tables[5];
static const char *const on_uring[] = {"uring", "libev", NULL};

#define MADE(index, called)                                                      \
    static const void *interfaces_##called(const char *id)                       \
    {                                                                            \
        return strcmp(id, AIODUCT_IFACE_CONNECTOR) == 0 ? &tables[index] : NULL; \
    }                                                                            \
    static const struct aioduct_plugin called = {                                \
        .magic = AIODUCT_PLUGIN_MAGIC,                                           \
        .size = sizeof(struct aioduct_plugin),                                   \
        .abi_major = AIODUCT_ABI_MAJOR,                                          \
        .name = #called,                                                         \
        .get_interface = interfaces_##called,                                    \
    };
MADE(0, layer)
MADE(1, other)
MADE(2, local)
MADE(3, bare)
MADE(4, picky)

static void fill(struct aioduct_connector *c, uint32_t flags, const char *const *runs_on)
{
    any_fn fn = some_function;
    size_t first = offsetof(struct aioduct_connector, open);
    size_t last = offsetof(struct aioduct_connector, stream_info);
    *c = (struct aioduct_connector){.size = sizeof *c, .flags = flags, .runs_on = runs_on};
    for (size_t at = first; at <= last; at += sizeof fn) {
        memcpy((char *)c + at, &fn, sizeof fn);
    }
}

static int register_all(void **state)
{
    static const struct aioduct_plugin *const all[] = {&layer, &other, &local, &bare, &picky};
    (void)state;
    fill(&tables[0], AIODUCT_BIND_SEND | AIODUCT_CX_LAYER, NULL);
    fill(&tables[1], AIODUCT_BIND_SEND | AIODUCT_CX_LAYER, NULL);
    fill(&tables[2], AIODUCT_BIND_LOCAL | AIODUCT_CX_LAYER, NULL);
    fill(&tables[3], AIODUCT_BIND_SEND, NULL);
    fill(&tables[4], AIODUCT_BIND_SEND, on_uring);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct aioduct_error error = {0};
        if (aioduct_connector_register(all[i], &error) < 0) {
            print_error("%s\n", error.message);
            return -1;
        }
    }
    return 0;
}

/* ---- choosing ---- */

static const struct ad_plugin epoll = {.name = "epoll", .caps = AD_CAP_RUNTIME | AD_CAP_POLL};
static const struct ad_plugin uring = {.name = "uring", .caps = AD_CAP_RUNTIME | AD_CAP_LOCAL};

static void chosen(const struct ad_plugin *runtime, const char *word, const char *expected)
{
    struct ad_chain_selection want = {.option = word, .runtime = runtime};
    struct aioduct_error error = {0};
    struct ad_chain chain;
    char names[64] = "";
    if (ad_chain_choose(&want, &chain, &error) < 0) {
        fail_msg("%s", error.message);
    }
    for (unsigned i = 0; i < chain.count; i++) {
        strncat(names, i == 0 ? "" : " ", 2);
        strncat(names, chain.plugins[i]->name, 16);
    }
    assert_string_equal(names, expected);
}

static void refused(const struct ad_plugin *runtime, const char *word, int code, const char *said)
{
    struct ad_chain_selection want = {.option = word, .runtime = runtime};
    struct aioduct_error error = {0};
    struct ad_chain chain;
    char whole[sizeof error.message];
    snprintf(whole, sizeof whole, "client option connectors: %s", said);
    assert_int_equal(ad_chain_choose(&want, &chain, &error), code);
    assert_string_equal(error.message, whole);
    assert_int_equal(error.code, code);
    assert_true(error.hint[0] != '\0');
    assert_int_equal(ad_chain_choose(&want, &chain, NULL), code);
}

static void a_word_means_connectors_the_outermost_first(void **state)
{
    (void)state;
    chosen(&epoll, "layer", "layer");
    chosen(&epoll, " other , layer", "other layer");
    chosen(&epoll, "layer,layer", "layer layer");
    chosen(&uring, "layer,picky", "layer picky");
    chosen(&epoll, "", "");
    chosen(&epoll, "none", "");
}

static void a_connector_that_does_not_fit_its_runtime_is_refused(void **state)
{
    (void)state;
    chosen(&uring, "local", "local");
    refused(
        &epoll, "local", AIODUCT_E_PLUGIN_CAPABILITY,
        "connector 'local' (registered) is local (bound to one thread); runtime 'epoll' is not");
    refused(
        &epoll, "picky", AIODUCT_E_PLUGIN_CAPABILITY,
        "connector 'picky' (registered) runs on uring, libev; this client's runtime is 'epoll'");
    refused(&epoll, "bare", AIODUCT_E_PLUGIN_CAPABILITY,
            "connector 'bare' (registered) names no runtime that it runs on; this client's is "
            "'epoll'");
}

static void a_connector_that_is_no_layer_can_only_be_the_last(void **state)
{
    (void)state;
    refused(&uring, "picky,layer", AIODUCT_E_PLUGIN_CAPABILITY,
            "connector 'picky' (registered) is no layer, and others are named after it");
}

static void a_connector_is_no_runtime_and_keeps_its_name(void **state)
{
    struct aioduct_error error = {0};
    (void)state;
    assert_int_equal(aioduct_connector_register(&layer, &error), -EEXIST);
    assert_string_equal(error.message, "a connector called 'layer' is registered already");
    assert_int_equal(aioduct_runtime_register(&layer, &error), AIODUCT_E_PLUGIN_INVALID);
    assert_null(ad_registry_static_by_name(AD_KIND_RUNTIME, "layer"));
    assert_non_null(ad_registry_static_by_name(AD_KIND_CONNECTOR, "layer"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_word_means_connectors_the_outermost_first),
        cmocka_unit_test(a_connector_that_does_not_fit_its_runtime_is_refused),
        cmocka_unit_test(a_connector_that_is_no_layer_can_only_be_the_last),
        cmocka_unit_test(a_connector_is_no_runtime_and_keeps_its_name),
    };
    return TAP_RUN(tests, register_all, NULL);
}
