/* SPDX-License-Identifier: MIT */
/* The plugin object, its tables, its probe, and how it takes a host that has grown. */
#include "case.h"
#include "proc.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* PL-1 */
static void the_descriptor_says_what_it_is(void **state)
{
    (void)state;
    const struct aioduct_plugin *plugin = ct_subject()->plugin;
    assert_int_equal(plugin->magic, AIODUCT_PLUGIN_MAGIC);
    assert_true(plugin->size >= offsetof(struct aioduct_plugin, get_interface) + sizeof(void *));
    assert_int_equal(plugin->abi_major, AIODUCT_ABI_MAJOR);
    assert_true(plugin->abi_minor_needed <= plugin->abi_minor_built);
    assert_non_null(plugin->version);
    assert_non_null(plugin->probe);
    size_t bytes = strspn(plugin->name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    assert_true(bytes > 0 && bytes <= 32 && plugin->name[bytes] == '\0');
    const char *asked = getenv("AIODUCT_RUNTIME");
    if (asked != NULL && asked[0] != '/') {
        assert_string_equal(plugin->name, asked);
    }
}

/* PL-2 */
static void unknown_interfaces_are_not_offered(void **state)
{
    (void)state;
    static const char *const ids[] = {
        "",
        "aioduct",
        "aioduct.runtime/",
        "aioduct.runtime/2",
        "aioduct.runtime/10",
        "aioduct.connector/1 ",
        "AIODUCT.RUNTIME/1",
        "org.example.pacing/1",
        "aioduct.runtime.poll.local/1",
        "\xff\xfe%s%n",
    };
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        assert_null(ct_subject()->plugin->get_interface(ids[i]));
    }
}

/* PL-2 */
static void the_same_question_gets_the_same_table(void **state)
{
    (void)state;
    const struct ct_subject *subject = ct_subject();
    const struct aioduct_plugin *plugin = subject->plugin;
    /* By a copy of the id: it is the text that counts. */
    char id[] = AIODUCT_IFACE_RUNTIME;
    assert_ptr_equal(plugin->get_interface(id), subject->rt);
    assert_ptr_equal(plugin->get_interface(AIODUCT_IFACE_POLL), subject->poll);
    assert_ptr_equal(plugin->get_interface(AIODUCT_IFACE_LOCAL), subject->local);
    assert_ptr_equal(plugin->get_interface(AIODUCT_IFACE_CONNECTOR), subject->cx);
}

static void check_layout(struct aioduct_layout layout)
{
    assert_true(layout.align > 0 && (layout.align & (layout.align - 1)) == 0);
    assert_true(layout.align <= 4096);
    assert_true(layout.bytes < 1 << 20);
}

/* PL-3 */
static void the_tables_are_whole(void **state)
{
    (void)state;
    const struct ct_subject *subject = ct_subject();
    assert_true(subject->rt->size >= offsetof(struct aioduct_runtime, now_ns) + sizeof(void *));
    assert_non_null(subject->rt->open);
    assert_non_null(subject->rt->close);
    assert_non_null(subject->rt->block_on);
    assert_non_null(subject->rt->wake);
    assert_non_null(subject->rt->now_ns);
    check_layout(subject->rt->rt);
    check_layout(subject->rt->task);
    if (subject->poll != NULL) {
        assert_true(subject->poll->size >= sizeof *subject->poll);
        assert_non_null(subject->poll->spawn_send);
        assert_non_null(subject->poll->sleep);
        assert_non_null(subject->poll->sleep_cancel);
        check_layout(subject->poll->timer);
    }
    if (subject->local != NULL) {
        assert_true(subject->local->size >= sizeof *subject->local);
        assert_non_null(subject->local->spawn_local);
        assert_non_null(subject->local->sleep);
        assert_non_null(subject->local->sleep_cancel);
        check_layout(subject->local->timer);
    }
}

/* CX-1 */
static void the_connector_is_either_send_or_local(void **state)
{
    (void)state;
    const struct ct_subject *subject = ct_subject();
    const struct aioduct_connector *cx = subject->cx;
    uint32_t bind = cx->flags & (AIODUCT_BIND_SEND | AIODUCT_BIND_LOCAL);
    assert_true(bind == AIODUCT_BIND_SEND || bind == AIODUCT_BIND_LOCAL);
    assert_true(cx->size >= offsetof(struct aioduct_connector, stream_close) + sizeof(void *));
    assert_non_null(cx->open);
    assert_non_null(cx->close);
    assert_non_null(cx->connect);
    assert_non_null(cx->recv_start);
    assert_non_null(cx->recv_stop);
    assert_non_null(cx->send);
    assert_non_null(cx->shutdown);
    assert_non_null(cx->cancel);
    assert_non_null(cx->stream_close);
    check_layout(cx->cx);
    check_layout(cx->stream);
}

static void probe_into(struct ct_case *c, struct aioduct_probe *out)
{
    /* Only alloc, log and option may be used: nothing else is there. */
    struct aioduct_host host = {
        .size = c->rig.host.size,
        .abi_major = c->rig.host.abi_major,
        .abi_minor = c->rig.host.abi_minor,
        .ctx = c->rig.host.ctx,
        .alloc = c->rig.host.alloc,
        .log = c->rig.host.log,
        .option = c->rig.host.option,
    };
    c->rig.setup = true;
    memset(out, 0, sizeof *out);
    out->size = sizeof *out;
    ct_subject()->plugin->probe(&host, out);
    c->rig.setup = false;
}

/* PL-5 */
static void the_probe_says_yes_without_a_reason_twice(void **state)
{
    struct ct_case *c = *state;
    for (int i = 0; i < 2; i++) {
        struct aioduct_probe probe;
        probe_into(c, &probe);
        assert_int_equal(probe.code, 0);
        assert_int_equal(probe.size, sizeof probe);
        assert_non_null(memchr(probe.reason, '\0', sizeof probe.reason));
        assert_non_null(memchr(probe.hint, '\0', sizeof probe.hint));
    }
}

/* PL-5 */
static void the_probe_leaves_no_trace(void **state)
{
    struct ct_case *c = *state;
    struct aioduct_probe probe;
    probe_into(c, &probe); /* what is loaded lazily is loaded now */
    struct ct_signals signals_before, signals_after;
    unsigned fds = ct_fd_count(), threads = ct_thread_count(), mappings = ct_mapping_count();
    ct_signals_now(&signals_before);
    for (int i = 0; i < 16; i++) {
        probe_into(c, &probe);
    }
    ct_signals_now(&signals_after);
    assert_int_equal(ct_fd_count(), fds);
    assert_int_equal(ct_thread_count_settled(threads), threads);
    assert_int_equal(ct_mapping_count(), mappings);
    assert_memory_equal(&signals_before, &signals_after, sizeof signals_before);
    assert_int_equal(c->rig.live_blocks, 0);
}

static void *probe_on_thread(void *arg)
{
    struct aioduct_probe *probe = arg;
    struct ct_rig rig;
    ct_rig_init(&rig);
    rig.setup = true;
    probe->size = sizeof *probe;
    ct_subject()->plugin->probe(&rig.host, probe);
    return NULL;
}

/* PL-5 */
static void the_probe_runs_on_any_thread(void **state)
{
    (void)state;
    pthread_t threads[4];
    struct aioduct_probe probes[4];
    memset(probes, 0, sizeof probes);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, probe_on_thread, &probes[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(probes[i].code, 0);
    }
}

static void use_rig(struct ct_case *c)
{
    ct_listen(&c->listener, AF_INET);
    assert_int_equal(ct_rig_open(&c->rig), 0);
    int peer;
    struct ct_stream *stream = ct_dial(c, &peer);
    stream->seed = 1;
    assert_int_equal(ct_recv_start(stream), 0);
    assert_int_equal(ct_write_pattern(peer, 1, 100), 0);
    CT_UNTIL(&c->rig, ct_has_data, stream);
    ct_close_and_wait(stream);
}

/* PL-4: nobody reads past the size that is written in the table. */
static void the_host_table_may_end_where_its_size_says(void **state)
{
    struct ct_case *c = *state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
    struct aioduct_host *host = (struct aioduct_host *)(pages + page) - 1;
    *host = c->rig.host;
    c->rig.given = host;
    use_rig(c);
    ct_rig_close(&c->rig);
    munmap(pages, 2 * page);
}

/* PL-4 */
static void a_host_that_has_grown_is_no_trouble(void **state)
{
    struct ct_case *c = *state;
    struct {
        struct aioduct_host host;
        unsigned char tail[256];
    } grown;
    grown.host = c->rig.host;
    grown.host.size = sizeof grown;
    grown.host.abi_minor = 999;
    memset(grown.tail, 0xEE, sizeof grown.tail);
    c->rig.given = &grown.host;
    use_rig(c);
    ct_rig_close(&c->rig);
}

static const struct CMUnitTest cases[] = {
    CT_BARE_CASE(the_descriptor_says_what_it_is),
    CT_BARE_CASE(unknown_interfaces_are_not_offered),
    CT_BARE_CASE(the_same_question_gets_the_same_table),
    CT_BARE_CASE(the_tables_are_whole),
    CT_BARE_CASE(the_connector_is_either_send_or_local),
    CT_BARE_CASE(the_probe_says_yes_without_a_reason_twice),
    CT_BARE_CASE(the_probe_leaves_no_trace),
    CT_BARE_CASE(the_probe_runs_on_any_thread),
    CT_BARE_CASE(the_host_table_may_end_where_its_size_says),
    CT_BARE_CASE(a_host_that_has_grown_is_no_trouble),
};

CT_MAIN(cases)
