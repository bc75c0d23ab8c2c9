/* SPDX-License-Identifier: MIT */
/* The plugin object, its tables, its probe, and how it takes a host that has grown. */
#include "case.h"
#include "proc.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void load(enum ct_loaded wanted)
{
    char why[CT_WHY_BYTES];
    enum ct_loaded came = ct_subject_load(ct_case_plugin(), ct_case_runtime(), why);
    if (wanted == CT_LOADED_TABLES && came < CT_LOADED_PLUGIN) {
        ct_skip("not looked at: %s", why);
    }
    if (came < wanted) {
        ct_fail("%s", why);
    }
}

static void the_descriptor_says_what_it_is(struct ct_case *c)
{
    (void)c;
    load(CT_LOADED_PLUGIN);
    const struct aioduct_plugin *plugin = ct_subject()->plugin;
    assert_true(plugin->abi_minor_needed <= plugin->abi_minor_built);
    assert_non_null(plugin->version);
    size_t bytes = strspn(plugin->name, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    assert_true(bytes > 0 && bytes <= 32 && plugin->name[bytes] == '\0');
    assert_true(plugin->name[0] != '_' && plugin->name[0] != '-');
}

static void unknown_interfaces_are_not_offered(struct ct_case *c)
{
    (void)c;
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

static void the_same_question_gets_the_same_table(struct ct_case *c)
{
    (void)c;
    static const char *const ids[] = {AIODUCT_IFACE_RUNTIME, AIODUCT_IFACE_POLL,
                                      AIODUCT_IFACE_LOCAL, AIODUCT_IFACE_CONNECTOR,
                                      AIODUCT_IFACE_FOREIGN};
    const struct aioduct_plugin *plugin = ct_subject()->plugin;
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        /* By a copy of the id: it is the text that counts. */
        char id[64];
        snprintf(id, sizeof id, "%s", ids[i]);
        const void *table = plugin->get_interface(ids[i]);
        assert_ptr_equal(plugin->get_interface(id), table);
        memset(id, 'x', sizeof id);
        assert_ptr_equal(plugin->get_interface(ids[i]), table);
    }
}

static void the_tables_are_whole(struct ct_case *c)
{
    (void)c;
    load(CT_LOADED_TABLES);
}

static void the_connector_is_either_send_or_local(struct ct_case *c)
{
    (void)c;
    const struct aioduct_connector *cx = ct_subject()->cx;
    if (cx == NULL) {
        ct_skip("the plugin has no connector");
    }
    uint32_t bind = cx->flags & (AIODUCT_BIND_SEND | AIODUCT_BIND_LOCAL);
    assert_true(bind == AIODUCT_BIND_SEND || bind == AIODUCT_BIND_LOCAL);
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

static void need_probe(void)
{
    if (ct_subject()->plugin->probe == NULL) {
        ct_skip("the plugin has no probe: it can run everywhere");
    }
}

static bool is_answer(const struct aioduct_probe *probe)
{
    return probe->code == 0 || (probe->code == AIODUCT_E_UNAVAILABLE && probe->reason[0] != '\0');
}

static void the_probe_says_yes_or_why_not_twice(struct ct_case *c)
{
    need_probe();
    int first = 0;
    for (int i = 0; i < 2; i++) {
        struct aioduct_probe probe;
        probe_into(c, &probe);
        assert_int_equal(probe.size, sizeof probe);
        assert_non_null(memchr(probe.reason, '\0', sizeof probe.reason));
        assert_non_null(memchr(probe.hint, '\0', sizeof probe.hint));
        if (!is_answer(&probe)) {
            ct_fail("the probe answers %d, and its reason is \"%s\"", probe.code, probe.reason);
        }
        first = i == 0 ? probe.code : first;
        assert_int_equal(probe.code, first);
    }
}

static void the_probe_leaves_no_trace(struct ct_case *c)
{
    struct aioduct_probe probe;
    need_probe();
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

static void the_probe_runs_on_any_thread(struct ct_case *c)
{
    (void)c;
    pthread_t threads[4];
    struct aioduct_probe probes[4];
    need_probe();
    memset(probes, 0, sizeof probes);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, probe_on_thread, &probes[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_true(is_answer(&probes[i]));
    }
}

/* What a host table of minor 0 has. */
enum { HOST_BYTES_MIN = offsetof(struct aioduct_host, get_interface) + sizeof(void *) };

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

/* A core of minor 0: nobody reads past the size that is written in its table. */
static void the_host_table_may_end_where_its_size_says(struct ct_case *c)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
    struct aioduct_host *host = (struct aioduct_host *)(void *)(pages + page - HOST_BYTES_MIN);
    memcpy(host, &c->rig.host, HOST_BYTES_MIN);
    host->size = HOST_BYTES_MIN;
    host->abi_minor = 0;
    c->rig.given = host;
    use_rig(c);
    ct_rig_close(&c->rig);
    munmap(pages, 2 * page);
}

static void a_host_that_has_grown_is_no_trouble(struct ct_case *c)
{
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

/* ---- a kernel that lacks something ---- */

enum { NO_FILTER = 3 };

/* From now on @call answers @code in this process. */
static bool forbid(long call, int code)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((uint32_t)code & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

/* In a child: the probe answers, and what it answers is so. */
static _Noreturn void live_without(struct ct_case *c, long call, int code)
{
    if (!forbid(call, code)) {
        _exit(NO_FILTER);
    }
    struct aioduct_probe probe = {.code = 0};
    if (ct_subject()->plugin->probe != NULL) {
        probe_into(c, &probe);
    }
    if (!is_answer(&probe)) {
        ct_fail("without system call %ld (%s) the probe answers %d, and its reason is \"%s\"", call,
                strerror(code), probe.code, probe.reason);
    }
    if (probe.code == 0) {
        int opened = ct_rig_open(&c->rig); /* the rig sees to it that it says why not */
        ct_say("without system call %ld (%s) open answers %d", call, strerror(code), opened);
        ct_check(&c->rig);
    }
    _exit(0);
}

/* As in a container that forbids it, or on an old kernel: an answer, and no crash. */
static void a_kernel_that_lacks_something_is_no_crash(struct ct_case *c)
{
    static const long calls[] = {SYS_io_uring_setup, SYS_epoll_create1, SYS_eventfd2,
                                 SYS_timerfd_create};
    static const int codes[] = {ENOSYS, EPERM};
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        for (size_t j = 0; j < sizeof codes / sizeof codes[0]; j++) {
            pid_t child = ct_fork();
            assert_true(child >= 0);
            if (child == 0) {
                live_without(c, calls[i], codes[j]);
            }
            int status = 0;
            assert_int_equal(waitpid(child, &status, 0), child);
            if (WIFSIGNALED(status)) {
                ct_fail("without system call %ld (%s) the process is ended: %s", calls[i],
                        strerror(codes[j]), strsignal(WTERMSIG(status)));
            }
            if (WEXITSTATUS(status) == NO_FILTER) {
                ct_skip("this system does not let a process filter its system calls");
            }
            assert_int_equal(WEXITSTATUS(status), 0);
        }
    }
}

static const struct ct_test cases[] = {
    CT_FILE_CASE(the_descriptor_says_what_it_is, "PL-1"),
    CT_PLUGIN_CASE(unknown_interfaces_are_not_offered, "PL-2"),
    CT_PLUGIN_CASE(the_same_question_gets_the_same_table, "PL-2"),
    CT_FILE_CASE(the_tables_are_whole, "PL-3"),
    CT_BARE_CASE(the_connector_is_either_send_or_local, "CX-1"),
    CT_PLUGIN_CASE(the_probe_says_yes_or_why_not_twice, "PL-5"),
    CT_PLUGIN_CASE(the_probe_leaves_no_trace, "PL-5"),
    CT_PLUGIN_CASE(the_probe_runs_on_any_thread, "PL-5"),
    CT_BARE_CASE(a_kernel_that_lacks_something_is_no_crash, "PL-5", "RT-1"),
    CT_BARE_CASE(the_host_table_may_end_where_its_size_says, "PL-4"),
    CT_BARE_CASE(a_host_that_has_grown_is_no_trouble, "PL-4"),
};

CT_GROUP(plugin, 0)
