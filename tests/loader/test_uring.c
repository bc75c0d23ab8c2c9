/* SPDX-License-Identifier: MIT */
/* io_uring switched off, the ways it is switched off in the field: what the user is told, and that
 * auto goes on. Runs alone, because the sysctl is everybody's; it is put back after each case. */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char sysctl_path[] = "/proc/sys/kernel/io_uring_disabled";
static char sysctl_before[8];
static char place[512];

enum { NOBODY = 65534 };

/* ---- switches ---- */

static bool read_sysctl(char value[8])
{
    int fd = open(sysctl_path, O_RDONLY | O_CLOEXEC);
    ssize_t bytes = fd < 0 ? -1 : read(fd, value, 7);
    if (fd >= 0) {
        close(fd);
    }
    if (bytes <= 0) {
        return false;
    }
    value[bytes] = '\0';
    value[strcspn(value, "\n")] = '\0';
    return true;
}

static bool write_sysctl(const char *value)
{
    int fd = open(sysctl_path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
    if (fd >= 0) {
        close(fd);
    }
    return written;
}

static int keep_sysctl(void **state)
{
    (void)state;
    if (!read_sysctl(sysctl_before)) {
        sysctl_before[0] = '\0';
    }
    return 0;
}

static int restore_sysctl(void **state)
{
    (void)state;
    char now[8];
    if (sysctl_before[0] == '\0' || (read_sysctl(now) && strcmp(now, sysctl_before) == 0)) {
        return 0;
    }
    return write_sysctl(sysctl_before) ? 0 : 1;
}

static void set_sysctl(const char *value)
{
    if (sysctl_before[0] == '\0') {
        tap_skip("this kernel has no sysctl kernel.io_uring_disabled");
    }
    if (geteuid() != 0 || !write_sysctl(value)) {
        tap_skip("only root may set kernel.io_uring_disabled");
    }
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

/* ---- cases ---- */

static void need_seccomp(void)
{
    if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) {
        tap_skip("this kernel has no seccomp");
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
    assert_int_equal(got.plugin.caps, AD_CAP_RUNTIME | AD_CAP_LOCAL | AD_CAP_CONNECTOR);
}

static void test_eperm(void **state)
{
    (void)state;
    struct loader_outcome got;
    need_seccomp();
    loader_choose(&(struct loader_run){.option = "uring", .path = place, .before = refuse_eperm},
                  &got);
    loader_expect(&got, AIODUCT_E_UNAVAILABLE, "uring unavailable: io_uring_setup: EPERM",
                  strcmp(sysctl_before, "0") == 0 ? "seccomp" : "kernel.io_uring_disabled is");
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

static void test_off_for_all(void **state)
{
    (void)state;
    struct loader_outcome got;
    set_sysctl("2");
    loader_choose(&(struct loader_run){.option = "uring", .path = place}, &got);
    restore_sysctl(NULL);
    loader_expect(&got, AIODUCT_E_UNAVAILABLE, "uring unavailable: io_uring_setup: EPERM",
                  "kernel.io_uring_disabled is 2");
}

static void test_off_for_most(void **state)
{
    (void)state;
    struct loader_outcome got;
    set_sysctl("1");
    loader_choose(&(struct loader_run){.option = "uring", .path = place, .user = NOBODY}, &got);
    restore_sysctl(NULL);
    loader_expect(&got, AIODUCT_E_UNAVAILABLE, "uring unavailable: io_uring_setup: EPERM",
                  "kernel.io_uring_disabled is 1");
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
        {"uring runs here", test_runs, keep_sysctl, restore_sysctl, NULL},
        {"a seccomp filter that answers EPERM is told from the sysctl", test_eperm, keep_sysctl,
         restore_sysctl, NULL},
        {"a seccomp filter that answers ENOSYS looks like an old kernel", test_enosys, keep_sysctl,
         restore_sysctl, NULL},
        {"auto goes on to the next and says so once", test_auto, keep_sysctl, restore_sysctl, NULL},
        {"kernel.io_uring_disabled=2 is named", test_off_for_all, keep_sysctl, restore_sysctl,
         NULL},
        {"kernel.io_uring_disabled=1 is named", test_off_for_most, keep_sysctl, restore_sysctl,
         NULL},
    };
    return TAP_RUN(cases, setup, loader_teardown);
}
