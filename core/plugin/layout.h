/* SPDX-License-Identifier: MIT */
/**
 * Do the headers of a shared object agree? Segments are what the system's loader believes, and
 * sections say the same in other words: a file that was damaged in one of the two is found out
 * before anything of it is mapped.
 */
#ifndef AD_PLUGIN_LAYOUT_H
#define AD_PLUGIN_LAYOUT_H

#include <link.h>
#include <stdint.h>

struct ad_layout {
    const ElfW(Phdr) * segments;
    unsigned segment_count;
    const ElfW(Shdr) * sections; /* none, if the file was stripped of them */
    unsigned section_count;
    uint64_t file_bytes;
};

/* -> NULL, or what is wrong */
const char *ad_layout_check(const struct ad_layout *layout);

#endif
