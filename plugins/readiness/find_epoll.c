/* SPDX-License-Identifier: MIT */
/* Neither libevent nor libev tells its epoll descriptor, but the kernel does: /proc/self/fdinfo of
 * an epoll set lists the descriptors in it ("tfd:"), and ours is in one only. See proc(5). */
#include "readiness/readiness.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Does /proc/self/fdinfo/@name list @fd? Sets may be large, so line by line. */
static bool lists(int folder, const char *name, int fd)
{
    bool found = false;
    char line[256];
    int info = openat(folder, name, O_RDONLY | O_CLOEXEC);
    FILE *file = info >= 0 ? fdopen(info, "re") : NULL;
    if (file == NULL) {
        if (info >= 0) {
            close(info);
        }
        return false;
    }
    while (!found && fgets(line, sizeof line, file) != NULL) {
        char *end;
        found = strncmp(line, "tfd:", 4) == 0 && strtol(line + 4, &end, 10) == fd && *end == ' ';
    }
    fclose(file);
    return found;
}

int ad_readiness_find_epoll(struct ad_readiness *loop)
{
    if (loop->set_fd >= 0) {
        return loop->set_fd;
    }
    int found = AIODUCT_E_UNSUPPORTED;
    DIR *folder = opendir("/proc/self/fdinfo");
    if (folder == NULL) {
        return found;
    }
    struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9' ||
            !lists(dirfd(folder), entry->d_name, loop->wake.fd)) {
            continue;
        }
        if (found >= 0) {
            found =
                AIODUCT_E_UNSUPPORTED; /* two sets: which one the library waits for is a guess */
            break;
        }
        found = (int)strtol(entry->d_name, NULL, 10);
    }
    closedir(folder);
    loop->set_fd = found >= 0 ? found : -1;
    return found;
}
