/* SPDX-License-Identifier: MIT */
#include "plugin/mapped.h"

#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <string.h>

enum { LIST_MAX = 256 /* names in a list; real ones have ten */ };

/* ---- segments ---- */

struct object {
    uintptr_t base; /* what its addresses are relative to */
    const ElfW(Phdr) * headers;
    unsigned count;
};

struct search {
    uintptr_t at;
    size_t bytes; /* from there to the end of the segment */
    uint32_t flags;
    struct object object; /* whose segment it is */
};

/* The segment that @at lies in; NULL: none. They are in order of their addresses. */
static const ElfW(Phdr) * segment_at(const struct object *o, uintptr_t at)
{
    for (unsigned i = 0; i < o->count; i++) {
        const ElfW(Phdr) *p = &o->headers[i];
        if (p->p_type == PT_LOAD) {
            if (at < o->base + p->p_vaddr) {
                return NULL;
            }
            if (at - (o->base + p->p_vaddr) < p->p_memsz) {
                return p;
            }
        }
    }
    return NULL;
}

static int look(struct dl_phdr_info *info, size_t size, void *user)
{
    struct search *s = user;
    const struct object o = {info->dlpi_addr, info->dlpi_phdr, info->dlpi_phnum};
    const ElfW(Phdr) *p = segment_at(&o, s->at);
    (void)size;
    if (p == NULL) {
        return 0;
    }
    s->bytes = p->p_memsz - (s->at - (o.base + p->p_vaddr));
    s->flags = p->p_flags;
    s->object = o;
    return 1;
}

static bool find(const void *at, struct search *out)
{
    *out = (struct search){.at = (uintptr_t)at};
    return dl_iterate_phdr(look, out) != 0;
}

/* Can @count bytes be read from @at on, in that object? */
static bool has(const struct object *o, uintptr_t at, size_t count)
{
    const ElfW(Phdr) *p = segment_at(o, at);
    return p != NULL && (p->p_flags & PF_R) && o->base + p->p_vaddr + p->p_memsz - at >= count;
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

/* The last row of @table whose function does not start behind @at; -1: none. */
static int64_t find_row(uintptr_t table, uint32_t count, uintptr_t at)
{
    int64_t low = -1, high = count;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        uintptr_t row = table + TABLE_AT + (uintptr_t)middle * ROW_BYTES;
        if (table + (uintptr_t)(intptr_t)read_i32(row) <= at) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* .eh_frame_hdr; NULL: none */
static const ElfW(Phdr) * unwind_header(const struct object *o)
{
    for (unsigned i = 0; i < o->count; i++) {
        if (o->headers[i].p_type == PT_GNU_EH_FRAME) {
            return &o->headers[i];
        }
    }
    return NULL;
}

/* Is @at inside a function of the object's unwind table, and not at its start? What the table does
 * not know, as code of an assembler, is taken for a start. */
static bool is_inside(const struct object *o, uintptr_t at)
{
    const ElfW(Phdr) *p = unwind_header(o);
    uintptr_t table = p != NULL ? o->base + p->p_vaddr : 0;
    if (p == NULL || p->p_memsz < TABLE_AT || !has(o, table, p->p_memsz) ||
        memcmp((const void *)table, usual_encoding, sizeof usual_encoding) != 0) {
        return false;
    }
    uint32_t count = (uint32_t)read_i32(table + 8);
    if (count > (p->p_memsz - TABLE_AT) / ROW_BYTES) {
        return false;
    }
    int64_t found = find_row(table, count, at);
    if (found < 0) {
        return false;
    }
    uintptr_t row = table + TABLE_AT + (uintptr_t)found * ROW_BYTES;
    uintptr_t start = table + (uintptr_t)(intptr_t)read_i32(row);
    uintptr_t entry = table + (uintptr_t)(intptr_t)read_i32(row + 4);
    if (start == at || !has(o, entry, ENTRY_BYTES) ||
        entry + 8 + (uintptr_t)(intptr_t)read_i32(entry + 8) != start) {
        return false; /* the head of the entry is not of the usual form: it says nothing */
    }
    return at - start < (uint32_t)read_i32(entry + 12);
}

/* A function of another object got its address by its name. */
static bool is_exported(const void *at)
{
    Dl_info info;
    return dladdr(at, &info) != 0 && info.dli_saddr == at;
}

static const char *check(ad_any_fn fn, const void *of, bool own)
{
    static const char nowhere[] = "leads out of the loaded code";
    struct search s;
    const void *at;
    memcpy(&at, &fn, sizeof at);
    if (!find(at, &s) || (address_is_code && !(s.flags & PF_X))) {
        return nowhere;
    }
    if (!address_is_code) {
        return NULL;
    }
    if (segment_at(&s.object, (uintptr_t)of) == NULL) {
        return own ? "leads out of the file" : is_exported(at) ? NULL : nowhere;
    }
    return is_inside(&s.object, s.at) ? "leads into the middle of a function" : NULL;
}

const char *ad_mapped_function(ad_any_fn fn, const void *of)
{
    return check(fn, of, false);
}

const char *ad_mapped_own_function(ad_any_fn fn, const void *of)
{
    return check(fn, of, true);
}
