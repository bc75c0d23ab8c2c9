/* SPDX-License-Identifier: MIT */
/**
 * What the library may dlopen, written where tools that build packages and images look for it: ELF
 * notes of the dlopen metadata specification (UAPI.12), one a runtime of this project. The linker
 * lists only what is needed always, so nobody else could tell.
 *
 * Each is a JSON array of one object: soname is the file's name in aioduct-1/, priority how much is
 * lost without it. epoll, which is built in, always serves; io_uring is worth having.
 */
#include "plugin/load.h"

/* Owner "FDO", type 0x407c0c0a; the text ends with a NUL, which counts. */
/* clang-format off */
#define DLOPEN_NOTE(NAME, PRIORITY)                                                                \
    __asm__(".pushsection .note.dlopen,\"a\",%note\n"                                              \
            ".balign 4\n"                                                                          \
            ".long 2f-1f, 4f-3f, 0x407c0c0a\n"                                                     \
            "1: .asciz \"FDO\"\n"                                                                  \
            "2: .balign 4\n"                                                                       \
            "3: .asciz \"[{\\\"feature\\\":\\\"" NAME "\\\","                                      \
            "\\\"description\\\":\\\"HTTP on a " NAME " loop\\\","                                 \
            "\\\"priority\\\":\\\"" PRIORITY "\\\","                                               \
            "\\\"soname\\\":[\\\"libaioduct-rt-" NAME ".so\\\"]}]\"\n"                             \
            "4: .balign 4\n"                                                                       \
            ".popsection\n")
/* clang-format on */

#if AD_PLUGIN_LOADING
DLOPEN_NOTE("uring", "recommended");
DLOPEN_NOTE("libev", "suggested");
DLOPEN_NOTE("libevent", "suggested");
#endif
