/* SPDX-License-Identifier: MIT */
/*
 * Can io_uring be used here, and if not: why, and what helps? A ring is set up, asked for its
 * opcodes, sent one NOP, and torn down; nothing stays behind.
 */
#include "uring/uring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* The value of kernel.io_uring_disabled; -1 where the kernel has no such switch. */
static int switched_off(void)
{
    char text[8] = "";
    int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    ssize_t bytes = read(fd, text, sizeof text - 1);
    close(fd);
    return bytes > 0 && text[0] >= '0' && text[0] <= '9' ? text[0] - '0' : -1;
}

static void hint_refused(struct aioduct_probe *out)
{
    switch (switched_off()) {
    case 2:
        snprintf(out->hint, sizeof out->hint,
                 "kernel.io_uring_disabled is 2, off for everybody; sysctl -w "
                 "kernel.io_uring_disabled=0 allows it");
        break;
    case 1:
        snprintf(out->hint, sizeof out->hint,
                 "kernel.io_uring_disabled is 1: only for the group kernel.io_uring_group and for "
                 "CAP_SYS_ADMIN; join it, or sysctl -w kernel.io_uring_disabled=0");
        break;
    default:
        snprintf(out->hint, sizeof out->hint,
                 "refused by a seccomp filter, a container profile or a security module; allow "
                 "io_uring_setup, io_uring_enter and io_uring_register");
    }
}

static void hint_memory(struct aioduct_probe *out)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
        snprintf(out->hint, sizeof out->hint,
                 "locked memory is limited to %llu KiB; raise it (ulimit -l, LimitMEMLOCK=)",
                 (unsigned long long)limit.rlim_cur / 1024);
    } else {
        snprintf(out->hint, sizeof out->hint, "the system or the control group is out of memory");
    }
}

int ad_uring_explain(struct aioduct_probe *out, const char *call, int code)
{
    const char *name = NULL;
    const char *hint = "";
    out->hint[0] = '\0';
    switch (-code) {
    case ENOSYS:
        name = "ENOSYS";
        hint = "the kernel is built without io_uring or is older than it, or a seccomp profile "
               "hides it";
        break;
    case EPERM:
    case EACCES:
        name = code == -EPERM ? "EPERM" : "EACCES";
        hint_refused(out);
        break;
    case ENOMEM:
        name = "ENOMEM";
        hint_memory(out);
        break;
    case EMFILE:
        name = "EMFILE";
        hint = "the process has no descriptor left; raise the limit (ulimit -n, LimitNOFILE=)";
        break;
    case ENFILE:
        name = "ENFILE";
        hint = "the system has no descriptor left; see sysctl fs.file-max";
        break;
    case EINVAL:
        name = "EINVAL";
        hint = "the kernel is too old for this use of io_uring; Linux 5.19 or later is needed";
        break;
    default:
        break;
    }
    if (name != NULL) {
        snprintf(out->reason, sizeof out->reason, "%s: %s", call, name);
    } else {
        snprintf(out->reason, sizeof out->reason, "%s: errno %d", call, -code);
    }
    if (out->hint[0] == '\0') {
        snprintf(out->hint, sizeof out->hint, "%s", hint);
    }
    return out->code = AIODUCT_E_UNAVAILABLE;
}

int ad_uring_explain_lack(struct aioduct_probe *out, const char *missing)
{
    snprintf(out->reason, sizeof out->reason, "io_uring without %s", missing);
    snprintf(out->hint, sizeof out->hint, "Linux 5.19 or later has it");
    return out->code = AIODUCT_E_UNAVAILABLE;
}

void ad_uring_probe(const struct aioduct_host *host, struct aioduct_probe *out)
{
    (void)host;
    struct ad_uring_options options = {.entries = 4};
    struct io_uring ring;

    out->code = 0;
    out->reason[0] = out->hint[0] = '\0';
    if (ad_uring_ring_open(&ring, &options, out) == 0) {
        io_uring_queue_exit(&ring);
    }
}
