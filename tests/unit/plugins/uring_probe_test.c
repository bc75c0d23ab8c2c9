/* SPDX-License-Identifier: MIT */
/* The probe and opening: they leave nothing behind, and where io_uring cannot be used they say why.
 * What a machine may refuse is played by seccomp filters and limits in child processes. */
#include "uring_rig.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct aioduct_probe probe_now(void)
{
    struct aioduct_probe probe;
    memset(&probe, 'x', sizeof probe);
    probe.size = sizeof probe;
    ad_uring_probe(NULL, &probe);
    assert_non_null(memchr(probe.reason, 0, sizeof probe.reason));
    assert_non_null(memchr(probe.hint, 0, sizeof probe.hint));
    return probe;
}

/* What a process has of descriptors, mappings and threads. */
struct belongings {
    unsigned fds, threads, mappings, rings;
};

static struct belongings count_all(void)
{
    struct belongings have = {.fds = rig_count_fds(), .threads = rig_count_threads()};
    rig_count_mappings(&have.mappings, &have.rings);
    return have;
}

static void assert_nothing_left(const struct belongings *before, unsigned rounds)
{
    struct belongings after = count_all();
    assert_int_equal(after.fds, before->fds);
    assert_int_equal(after.threads, before->threads);
    assert_int_equal(after.rings, before->rings);
    /* An allocator may map a little for itself; a mapping left behind each time is more. */
    assert_true(after.mappings < before->mappings + rounds / 2);
}

static void test_leaves_nothing(void **state)
{
    enum { ROUNDS = 100 };
    (void)state;
    probe_now();
    struct belongings before = count_all();
    for (int i = 0; i < ROUNDS; i++) {
        struct aioduct_probe probe = probe_now();
        assert_int_equal(probe.code, 0);
        assert_string_equal(probe.reason, "");
    }
    assert_nothing_left(&before, ROUNDS);
}

static void test_open_and_close_leave_nothing(void **state)
{
    enum { ROUNDS = 200 };
    struct rig rig;
    (void)state;
    assert_int_equal(rig_open(&rig, NULL), 0);
    rig_close(&rig);
    struct belongings before = count_all();
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(rig_open(&rig, rig_variants[(unsigned)i % rig_variant_count].options), 0);
        if (i % 2) {
            assert_int_equal(ad_uring_turn(rig.u, 0), 0); /* arms the eventfd's read */
        }
        if (i % 3) {
            assert_true(ad_uring_poll_fd(rig.u) >= 0);
        }
        rig_close(&rig);
    }
    assert_nothing_left(&before, ROUNDS);
}

static void test_every_allocation_may_fail(void **state)
{
    struct rig rig;
    (void)state;
    unsigned fds = rig_count_fds();
    struct rig_option options[] = {{NULL, NULL}};
    assert_int_equal(rig_open(&rig, options), 0);
    struct aioduct_timer timer = {.rig = &rig};
    rig.allocs_left = 1;
    assert_int_equal(ad_uring_sleep(rig.u, &timer, &timer.state, 1), -ENOMEM);
    rig_close(&rig);
    assert_int_equal(rig_count_fds(), fds);
}

/* ---- refusals, in a child ---- */

static struct aioduct_probe *shared;

/* Have @number answer @code from here on. */
static void refuse_call(unsigned number, int code)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)code),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = 4, .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
        _exit(77);
    }
}

/* Probe in a child after @prepare. -> false: filters cannot be set here */
static bool probe_in_child(void (*prepare)(void))
{
    pid_t child = tap_fork();
    assert_true(child >= 0);
    if (child == 0) {
        prepare();
        shared->size = sizeof *shared;
        unsigned fds = rig_count_fds();
        ad_uring_probe(NULL, shared);
        _exit(rig_count_fds() == fds ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        return false;
    }
    assert_int_equal(WEXITSTATUS(status), 0);
    return true;
}

static void no_setup(void)
{
    refuse_call(SYS_io_uring_setup, EPERM);
}

static void no_setup_at_all(void)
{
    refuse_call(SYS_io_uring_setup, ENOSYS);
}

static void no_memory(void)
{
    refuse_call(SYS_io_uring_setup, ENOMEM);
}

static void no_register(void)
{
    refuse_call(SYS_io_uring_register, EPERM);
}

static void no_enter(void)
{
    refuse_call(SYS_io_uring_enter, EPERM);
}

static void no_descriptors(void)
{
    refuse_call(SYS_io_uring_setup, EMFILE);
}

static void test_reasons(void **state)
{
    static const struct {
        void (*prepare)(void);
        const char *reason, *hint;
    } rows[] = {
        {no_setup, "io_uring_setup: EPERM", "io_uring"},
        {no_setup_at_all, "io_uring_setup: ENOSYS", "kernel"},
        {no_memory, "io_uring_setup: ENOMEM", "memory"},
        {no_descriptors, "io_uring_setup: EMFILE", "ulimit -n"},
        {no_register, "io_uring_register: EPERM", "seccomp"},
        {no_enter, "io_uring_enter: EPERM", "seccomp"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        memset(shared, 0, sizeof *shared);
        if (!probe_in_child(rows[i].prepare)) {
            tap_skip("seccomp filters cannot be set here");
        }
        assert_int_equal(shared->code, AIODUCT_E_UNAVAILABLE);
        assert_string_equal(shared->reason, rows[i].reason);
        assert_non_null(strstr(shared->hint, rows[i].hint));
    }
}

static void test_open_says_why(void **state)
{
    (void)state;
    pid_t child = tap_fork();
    if (child == 0) {
        struct rig rig;
        no_setup();
        unsigned fds = rig_count_fds();
        int code = rig_open(&rig, NULL);
        _exit(code == AIODUCT_E_UNAVAILABLE && rig_count_fds() == fds &&
                      strncmp(rig.error, "io_uring_setup: EPERM (", 23) == 0
                  ? 0
                  : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        tap_skip("seccomp filters cannot be set here");
    }
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void refused(struct rig *rig, struct io_uring *ring, const char *kind, int code,
                    const char *word)
{
    struct ad_uring u;
    struct aioduct_foreign foreign = {.size = sizeof foreign, .kind = kind, .loop = ring};
    memset(&u, 0, sizeof u);
    assert_int_equal(ad_uring_open(&u, &rig->host, &foreign), code);
    assert_non_null(strstr(rig->error, word));
}

static void test_foreign_ring(void **state)
{
    struct rig rig;
    struct io_uring ring;
    struct io_uring_params params = {.flags = IORING_SETUP_SQPOLL};
    (void)state;
    assert_int_equal(rig_open(&rig, NULL), 0);
    refused(&rig, NULL, "io_uring", -EINVAL, "no ring");
    assert_int_equal(io_uring_queue_init(4, &ring, 0), 0);
    refused(&rig, &ring, "libev", AIODUCT_E_UNSUPPORTED, "not a ring");
    io_uring_queue_exit(&ring);
    if (io_uring_queue_init_params(4, &ring, &params) == 0) {
        refused(&rig, &ring, "io_uring", AIODUCT_E_UNSUPPORTED, "IORING_SETUP_SQPOLL");
        io_uring_queue_exit(&ring);
    }
    rig_close(&rig);
}

/* ---- options ---- */

static void test_bad_options(void **state)
{
    static const struct rig_option bad[] = {
        {"entries", "0"},        {"entries", "15"},           {"entries", "8193"},
        {"entries", "many"},     {"entries", "-1"},           {"entries", ""},
        {"entries", "64 "},      {"entries", " 64"},          {"entries", "99999999999999999999"},
        {"buffers", "3"},        {"buffers", "100"},          {"buffers", "65536"},
        {"buffer_bytes", "512"}, {"buffer_bytes", "9999999"}, {"without", "everything"},
        {"without", "bundles"},  {"without", ",multishot"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct rig rig;
        struct rig_option options[] = {bad[i], {NULL, NULL}};
        char name[64];
        snprintf(name, sizeof name, "uring.%s", bad[i].key);
        assert_int_equal(rig_open(&rig, options), -EINVAL);
        assert_non_null(strstr(rig.error, name));
    }
    struct rig rig;
    struct rig_option huge[] = {{"buffers", "32768"}, {"buffer_bytes", "65536"}, {NULL, NULL}};
    assert_int_equal(rig_open(&rig, huge), -EINVAL);
    assert_non_null(strstr(rig.error, "uring.buffers"));
}

static void test_good_options(void **state)
{
    struct rig rig;
    struct rig_option options[] = {{"entries", "100"},
                                   {"buffers", "64"},
                                   {"buffer_bytes", "2000"},
                                   {"without", "run_limit,multishot"},
                                   {NULL, NULL}};
    (void)state;
    assert_int_equal(rig_open(&rig, options), 0);
    assert_int_equal(rig.u->options.entries, 100);
    assert_int_equal(rig.u->buffers.count, 64);
    assert_int_equal(rig.u->buffers.bytes, 2000);
    assert_true(rig.u->options.without & AD_URING_NO_RUN_LIMIT);
    assert_true(rig.u->options.without & AD_URING_NO_MULTISHOT);
    rig_close(&rig);
}

static int setup(void **state)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED ? -1 : rig_require_uring(state);
}

static const struct CMUnitTest cases[] = {
    {"the probe leaves no descriptor, mapping or thread", test_leaves_nothing, NULL, NULL, NULL},
    {"open and close leave no descriptor, mapping or thread", test_open_and_close_leave_nothing,
     NULL, NULL, NULL},
    {"a failed allocation is an error", test_every_allocation_may_fail, NULL, NULL, NULL},
    {"each refusal has its reason and its remedy", test_reasons, NULL, NULL, NULL},
    {"open tells the host why it cannot", test_open_says_why, NULL, NULL, NULL},
    {"a ring that cannot be adopted is refused", test_foreign_ring, NULL, NULL, NULL},
    {"a bad option is refused by name", test_bad_options, NULL, NULL, NULL},
    {"options take effect", test_good_options, NULL, NULL, NULL},
};

int main(void)
{
    return TAP_RUN(cases, setup, NULL);
}
