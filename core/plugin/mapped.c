/* SPDX-License-Identifier: MIT */
#include "plugin/mapped.h"

#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <string.h>

enum { LIST_MAX = 256 /* names in a list; real ones have ten */ };

/* ---- segments ---- */

struct search {
    uintptr_t at;
    size_t bytes; /* from there to the end of the segment */
    uint32_t flags;
    uintptr_t unwind; /* of its object: .eh_frame_hdr, and how long it is; 0: none */
    size_t unwind_bytes;
    uintptr_t base; /* tells objects apart */
};

static int look(struct dl_phdr_info *info, size_t size, void *user)
{
    struct search *s = user;
    (void)size;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        uintptr_t from = info->dlpi_addr + p->p_vaddr;
        if (p->p_type == PT_GNU_EH_FRAME) {
            s->unwind = from;
            s->unwind_bytes = p->p_memsz;
        } else if (p->p_type == PT_LOAD && s->at >= from && s->at - from < p->p_memsz) {
            s->bytes = p->p_memsz - (s->at - from);
            s->flags = p->p_flags;
        }
    }
    if (s->bytes == 0) {
        s->unwind = s->unwind_bytes = 0;
        return 0;
    }
    s->base = (uintptr_t)info->dlpi_phdr;
    return 1;
}

static bool find(const void *at, struct search *out)
{
    *out = (struct search){.at = (uintptr_t)at};
    return dl_iterate_phdr(look, out) != 0;
}

size_t ad_mapped_bytes(const void *at)
{
    struct search s;
    return find(at, &s) && (s.flags & PF_R) ? s.bytes : 0;
}

bool ad_mapped_text(const char *text)
{
    size_t bytes = ad_mapped_bytes(text);
    return bytes > 0 && memchr(text, '\0', bytes) != NULL;
}

bool ad_mapped_texts(const char *const *list)
{
    size_t bytes = (uintptr_t)list % sizeof *list == 0 ? ad_mapped_bytes(list) : 0;
    for (size_t i = 0; i < LIST_MAX && (i + 1) * sizeof *list <= bytes; i++) {
        if (list[i] == NULL) {
            return true;
        }
        if (!ad_mapped_text(list[i])) {
            return false;
        }
    }
    return false;
}

/* ---- functions ---- */

/* On other machines a function's address may be that of a descriptor, or have a bit for the kind of
 * code. */
#if defined(__x86_64__) || defined(__i386__) || defined(__aarch64__) || defined(__riscv)
static const bool address_is_code = true;
#else
static const bool address_is_code = false;
#endif

static int32_t read_i32(uintptr_t at)
{
    int32_t value;
    memcpy(&value, (const void *)at, sizeof value);
    return value;
}

/* The encoding of all linkers: the table is relative to itself, sorted, in words of 32 bits. */
static const unsigned char usual_encoding[4] = {1 /* version */, 0x1b, 0x03, 0x3b};
enum { TABLE_AT = 12, ROW_BYTES = 8, ENTRY_BYTES = 16 /* of the head of an entry */ };

/* The last row whose function does not start behind @at; -1: none. */
static int64_t find_row(const struct search *s, uint32_t count)
{
    int64_t low = -1, high = count;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        uintptr_t row = s->unwind + TABLE_AT + (uintptr_t)middle * ROW_BYTES;
        if (s->unwind + (uintptr_t)(intptr_t)read_i32(row) <= s->at) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Is @s->at inside a function of the object's unwind table, and not at its start? What the table
 * does not know, as code of an assembler, is taken for a start. */
static bool is_inside(const struct search *s)
{
    if (s->unwind_bytes < TABLE_AT || ad_mapped_bytes((const void *)s->unwind) < s->unwind_bytes ||
        memcmp((const void *)s->unwind, usual_encoding, sizeof usual_encoding) != 0) {
        return false;
    }
    uint32_t count = (uint32_t)read_i32(s->unwind + 8);
    if (count > (s->unwind_bytes - TABLE_AT) / ROW_BYTES) {
        return false;
    }
    int64_t found = find_row(s, count);
    if (found < 0) {
        return false;
    }
    uintptr_t row = s->unwind + TABLE_AT + (uintptr_t)found * ROW_BYTES;
    uintptr_t start = s->unwind + (uintptr_t)(intptr_t)read_i32(row);
    uintptr_t entry = s->unwind + (uintptr_t)(intptr_t)read_i32(row + 4);
    if (start == s->at || ad_mapped_bytes((const void *)entry) < ENTRY_BYTES ||
        entry + 8 + (uintptr_t)(intptr_t)read_i32(entry + 8) != start) {
        return false; /* the head of the entry is not of the usual form: it says nothing */
    }
    return s->at - start < (uint32_t)read_i32(entry + 12);
}

/* A function of another object got its address by its name. */
static bool is_exported(const void *at)
{
    Dl_info info;
    return dladdr(at, &info) != 0 && info.dli_saddr == at;
}

const char *ad_mapped_own_function(ad_any_fn fn, const void *of)
{
    struct search s, home;
    const void *at;
    memcpy(&at, &fn, sizeof at);
    return address_is_code && find(at, &s) && find(of, &home) && home.base != s.base
               ? "leads out of the file"
               : ad_mapped_function(fn, of);
}

const char *ad_mapped_function(ad_any_fn fn, const void *of)
{
    static const char nowhere[] = "leads out of the loaded code";
    struct search s, home;
    const void *at;
    memcpy(&at, &fn, sizeof at);
    if (!find(at, &s) || (address_is_code && !(s.flags & PF_X))) {
        return nowhere;
    }
    if (!address_is_code) {
        return NULL;
    }
    if (!find(of, &home) || home.base != s.base) {
        return is_exported(at) ? NULL : nowhere;
    }
    return is_inside(&s) ? "leads into the middle of a function" : NULL;
}
