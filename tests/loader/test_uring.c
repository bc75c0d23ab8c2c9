/* SPDX-License-Identifier: MIT */
/* io_uring switched off, the ways it is switched off in the field: what the user is told, and that
 * auto goes on. All of it only in a child: a filter refuses the call there, and a file that says
 * what the sysctl would say is mounted over it in a namespace of the child's own. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char sysctl_path[] = "/proc/sys/kernel/io_uring_disabled";
static char place[512];

/* ---- switches ---- */

/* As the machine has it; -1: it has no such switch. */
static int sysctl_value(void)
{
    char value = 0;
    int fd = open(sysctl_path, O_RDONLY | O_CLOEXEC);
    ssize_t bytes = fd < 0 ? -1 : read(fd, &value, 1);
    if (fd >= 0) {
        close(fd);
    }
    return bytes == 1 ? value - '0' : -1;
}

/* io_uring_setup answers @answer from now on, in this process. */
static bool refuse_setup(unsigned answer)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void refuse_eperm(void)
{
    MUST(refuse_setup(EPERM));
}

static void refuse_enosys(void)
{
    MUST(refuse_setup(ENOSYS));
}

/* The sysctl reads @value from now on, in this process. */
static bool show_sysctl(const char *value)
{
    const char *file = loader_path("sysctl-%s", value);
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool written = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
    if (fd >= 0) {
        close(fd);
    }
    return written && (unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWNS | CLONE_NEWUSER) == 0) &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount(file, sysctl_path, NULL, MS_BIND, NULL) == 0;
}

static void switch_off_for_all(void)
{
    MUST(show_sysctl("2\n") && refuse_setup(EPERM));
}

static void switch_off_for_most(void)
{
    MUST(show_sysctl("1\n") && refuse_setup(EPERM));
}

/* ---- cases ---- */

static void need_seccomp(void)
{
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) {
        tap_skip("this kernel has no seccomp");
    }
}

static void need_sysctl(void)
{
    need_seccomp();
    if (sysctl_value() < 0) {
        tap_skip("this kernel has no sysctl kernel.io_uring_disabled");
    }
    int status = -1;
    pid_t child = tap_fork();
    assert_true(child >= 0);
    if (child == 0) {
        _exit(show_sysctl("0\n") ? 0 : 77);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status != 0) {
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 77);
        tap_skip("no mount namespace is to be had here");
    }
}

static void test_runs(void **state)
{
    (void)state;
    struct loader_outcome got;
    loader_choose(&(struct loader_run){.option = "uring", .path = place}, &got);
    if (got.code == AIODUCT_E_UNAVAILABLE && getenv("AIODUCT_REQUIRE") == NULL) {
        tap_skip("%s", got.error.message);
    }
    loader_expect_chosen(&got, "uring", NULL);
    assert_int_equal(got.plugin.caps & (AD_CAP_RUNTIME | AD_CAP_LOCAL | AD_CAP_CONNECTOR),
                     AD_CAP_RUNTIME | AD_CAP_LOCAL | AD_CAP_CONNECTOR);
    assert_int_equal(got.plugin.caps & AD_CAP_POLL, 0);
}

static void test_eperm(void **state)
{
    (void)state;
    struct loader_outcome got;
    need_seccomp();
    loader_choose(&(struct loader_run){.option = "uring", .path = place, .before = refuse_eperm},
                  &got);
    loader_expect(&got, AIODUCT_E_UNAVAILABLE, "uring unavailable: io_uring_setup: EPERM",
                  sysctl_value() > 0 ? "kernel.io_uring_disabled is" : "seccomp");
}

static void test_enosys(void **state)
{
    (void)state;
    struct loader_outcome got;
    need_seccomp();
    loader_choose(&(struct loader_run){.option = "uring", .path = place, .before = refuse_enosys},
                  &got);
    loader_expect(&got, AIODUCT_E_UNAVAILABLE, "uring unavailable: io_uring_setup: ENOSYS",
                  "seccomp");
}

static void test_auto(void **state)
{
    (void)state;
    struct loader_outcome got;
    need_seccomp();
    loader_choose(&(struct loader_run){.path = place, .before = refuse_eperm, .times = 3}, &got);
    assert_int_equal(got.code, 0);
    assert_string_not_equal(got.report.name, "uring");
    assert_string_equal(got.report.source, "automatic");
    loader_expect_text(got.report.notice, "uring unavailable (io_uring_setup: EPERM)");
    assert_int_equal(loader_count(got.log, "2 uring unavailable (io_uring_setup: EPERM)"), 1);
    char want[80];
    snprintf(want, sizeof want, "; using %s\n", got.report.name);
    assert_int_equal(loader_count(got.log, want), 1);
}

static void test_off_by_sysctl(void **state)
{
    (void)state;
    struct loader_outcome got;
    int before = sysctl_value();
    need_sysctl();
    loader_choose(
        &(struct loader_run){.option = "uring", .path = place, .before = switch_off_for_all}, &got);
    loader_expect(&got, AIODUCT_E_UNAVAILABLE, "uring unavailable: io_uring_setup: EPERM",
                  "kernel.io_uring_disabled is 2");
    loader_choose(
        &(struct loader_run){.option = "uring", .path = place, .before = switch_off_for_most},
        &got);
    loader_expect(&got, AIODUCT_E_UNAVAILABLE, "uring unavailable: io_uring_setup: EPERM",
                  "kernel.io_uring_disabled is 1");
    assert_int_equal(sysctl_value(), before);
}

static int setup(void **state)
{
    const char *from = getenv("LOADER_URING");
    if (loader_setup(state) != 0 || from == NULL) {
        return 1;
    }
    size_t bytes;
    unsigned char *content = loader_read(from, &bytes);
    snprintf(place, sizeof place, "%s", loader_mkdir("place", 0755));
    loader_write(loader_path("place/libaioduct-rt-uring.so"), content, bytes, 0644);
    free(content);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"uring runs here", test_runs, NULL, NULL, NULL},
        {"a seccomp filter that answers EPERM is told from the sysctl", test_eperm, NULL, NULL,
         NULL},
        {"a seccomp filter that answers ENOSYS looks like an old kernel", test_enosys, NULL, NULL,
         NULL},
        {"auto goes on to the next and says so once", test_auto, NULL, NULL, NULL},
        {"the value of kernel.io_uring_disabled is named", test_off_by_sysctl, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, setup, loader_teardown);
}
