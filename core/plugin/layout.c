/* SPDX-License-Identifier: MIT */
#include "plugin/layout.h"

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>

enum { TLS_ALIGN_MAX = 65536 };

static bool inside(uint64_t offset, uint64_t bytes, uint64_t limit)
{
    return offset <= limit && bytes <= limit - offset;
}

static bool is_power(uint64_t value)
{
    return (value & (value - 1)) == 0;
}

/* ---- segments ---- */

/* A file that was cut short maps without complaint and kills the process at the first access beyond
 * its end; the system's loader does not look. */
static const char *check_loads(const struct ad_layout *l)
{
    uint64_t vaddr = 0;
    for (unsigned i = 0; i < l->segment_count; i++) {
        const ElfW(Phdr) *p = &l->segments[i];
        if (p->p_type != PT_LOAD) {
            continue;
        }
        if (!inside(p->p_offset, p->p_filesz, l->file_bytes)) {
            return "the file is truncated";
        }
        if (p->p_vaddr < vaddr || p->p_memsz < p->p_filesz || !is_power(p->p_align) ||
            !inside(p->p_vaddr, p->p_memsz, UINTPTR_MAX / 2)) {
            return "its segments are malformed";
        }
        vaddr = p->p_vaddr + p->p_memsz;
    }
    return NULL;
}

/* The loaded segment that has the bytes of @p at the address where @p has them. */
static const ElfW(Phdr) * load_of(const struct ad_layout *l, const ElfW(Phdr) * p)
{
    for (unsigned i = 0; i < l->segment_count; i++) {
        const ElfW(Phdr) *load = &l->segments[i];
        /* What is protected after relocation may have no bytes at its end. */
        uint64_t limit = p->p_type == PT_GNU_RELRO ? load->p_memsz : load->p_filesz;
        if (load->p_type == PT_LOAD && p->p_vaddr >= load->p_vaddr &&
            inside(p->p_vaddr - load->p_vaddr, p->p_filesz, limit) &&
            p->p_offset - load->p_offset == p->p_vaddr - load->p_vaddr) {
            return load;
        }
    }
    return NULL;
}

/* Notes and unwind tables are read whole; of initial values the rest is zero. */
static bool is_part(const ElfW(Phdr) * p, const ElfW(Phdr) * load)
{
    switch (p->p_type) {
    case PT_GNU_RELRO: /* may end with the page */
        return p->p_filesz <= p->p_memsz && p->p_memsz - p->p_filesz < load->p_align &&
               (load->p_flags & PF_W);
    case PT_TLS:
        return p->p_filesz <= p->p_memsz && is_power(p->p_align) && p->p_align <= TLS_ALIGN_MAX &&
               inside(0, p->p_memsz, UINT32_MAX);
    default:
        return p->p_filesz == p->p_memsz;
    }
}

static const char *check_parts(const struct ad_layout *l)
{
    bool dynamic = false, stack = false;
    for (unsigned i = 0; i < l->segment_count; i++) {
        const ElfW(Phdr) *p = &l->segments[i];
        const ElfW(Phdr) *load = NULL;
        switch (p->p_type) {
        case PT_GNU_STACK:
            if (p->p_flags & PF_X) {
                return "it wants an executable stack";
            }
            stack = true;
            break;
        case PT_DYNAMIC:
            dynamic = true;
            load = load_of(l, p);
            if (load == NULL || !is_part(p, load)) {
                return "its dynamic section is malformed";
            }
            break;
        case PT_NOTE:
        case PT_TLS:
        case PT_GNU_EH_FRAME:
        case PT_GNU_PROPERTY:
        case PT_GNU_RELRO:
            load = load_of(l, p);
            if (p->p_filesz > 0 && (load == NULL || !is_part(p, load))) {
                return "its segments are malformed";
            }
            break;
        default:
            break;
        }
    }
    return !dynamic ? "it has no dynamic section"
           : !stack ? "it does not say that its stack is not to be executable"
                    : NULL;
}

/* ---- sections ---- */

static bool is_loaded(const ElfW(Shdr) * s)
{
    bool thread_zeros = s->sh_type == SHT_NOBITS && (s->sh_flags & SHF_TLS);
    return (s->sh_flags & SHF_ALLOC) && s->sh_size > 0 && !thread_zeros;
}

static bool allows(const ElfW(Phdr) * p, const ElfW(Shdr) * s)
{
    return (p->p_flags & PF_R) && (!(s->sh_flags & SHF_WRITE) || (p->p_flags & PF_W)) &&
           (!(s->sh_flags & SHF_EXECINSTR) || (p->p_flags & PF_X));
}

static const ElfW(Phdr) * segment_of(const struct ad_layout *l, const ElfW(Shdr) * s)
{
    for (unsigned i = 0; i < l->segment_count; i++) {
        const ElfW(Phdr) *p = &l->segments[i];
        if (p->p_type != PT_LOAD || s->sh_addr < p->p_vaddr ||
            !inside(s->sh_addr - p->p_vaddr, s->sh_size, p->p_memsz)) {
            continue;
        }
        bool in_file =
            s->sh_type == SHT_NOBITS || (inside(s->sh_addr - p->p_vaddr, s->sh_size, p->p_filesz) &&
                                         s->sh_offset - p->p_offset == s->sh_addr - p->p_vaddr);
        return in_file && allows(p, s) ? p : NULL;
    }
    return NULL;
}

/* What is to be zero is not read from the file. */
static bool is_zeroed(const ElfW(Phdr) * p, const ElfW(Shdr) * s, uint64_t file_end)
{
    return s->sh_type != SHT_NOBITS || s->sh_addr >= p->p_vaddr + p->p_filesz ||
           s->sh_addr < file_end;
}

static const char *check_segment(const struct ad_layout *l, const ElfW(Phdr) * p)
{
    uint64_t file_end = 0, end = 0;
    for (unsigned i = 0; i < l->section_count; i++) {
        const ElfW(Shdr) *s = &l->sections[i];
        if (is_loaded(s) && segment_of(l, s) == p) {
            uint64_t last = s->sh_addr + s->sh_size;
            end = last > end ? last : end;
            file_end = s->sh_type != SHT_NOBITS && last > file_end ? last : file_end;
        }
    }
    if (end != 0 && p->p_vaddr + p->p_memsz - end >= p->p_align) {
        return "a segment is longer than its sections";
    }
    for (unsigned i = 0; i < l->section_count; i++) {
        const ElfW(Shdr) *s = &l->sections[i];
        if (is_loaded(s) && segment_of(l, s) == p && !is_zeroed(p, s, file_end)) {
            return "a segment is longer than its sections";
        }
    }
    return NULL;
}

/* Initial values of thread-local variables: all of them, no more. */
static bool same_threads(const struct ad_layout *l, const ElfW(Phdr) * p)
{
    uint64_t first = UINT64_MAX, end = 0;
    for (unsigned i = 0; i < l->section_count; i++) {
        const ElfW(Shdr) *s = &l->sections[i];
        if ((s->sh_flags & SHF_ALLOC) && (s->sh_flags & SHF_TLS) && s->sh_size > 0) {
            first = s->sh_addr < first ? s->sh_addr : first;
            end = s->sh_addr + s->sh_size > end ? s->sh_addr + s->sh_size : end;
        }
    }
    return p == NULL ? end == 0
                     : first == p->p_vaddr && end - first <= p->p_memsz &&
                           p->p_memsz - (end - first) < TLS_ALIGN_MAX;
}

static bool has_segment(const struct ad_layout *l, uint32_t type, const ElfW(Shdr) * s)
{
    for (unsigned i = 0; i < l->segment_count; i++) {
        const ElfW(Phdr) *p = &l->segments[i];
        if (p->p_type == type && p->p_vaddr == s->sh_addr && p->p_offset == s->sh_offset) {
            return true;
        }
    }
    return false;
}

static const char *check_sections(const struct ad_layout *l)
{
    const ElfW(Phdr) *threads = NULL;
    for (unsigned i = 0; i < l->section_count; i++) {
        const ElfW(Shdr) *s = &l->sections[i];
        if (is_loaded(s) && segment_of(l, s) == NULL) {
            return "its sections and its segments disagree";
        }
        if (s->sh_type == SHT_DYNAMIC && !has_segment(l, PT_DYNAMIC, s)) {
            return "its dynamic section is malformed";
        }
    }
    for (unsigned i = 0; i < l->segment_count; i++) {
        const ElfW(Phdr) *p = &l->segments[i];
        const char *wrong = p->p_type == PT_LOAD ? check_segment(l, p) : NULL;
        if (wrong != NULL) {
            return wrong;
        }
        threads = p->p_type == PT_TLS ? p : threads;
    }
    return same_threads(l, threads) ? NULL : "its thread-local variables are malformed";
}

const char *ad_layout_check(const struct ad_layout *l)
{
    const char *wrong = check_loads(l);
    wrong = wrong != NULL ? wrong : check_parts(l);
    return wrong != NULL || l->section_count == 0 ? wrong : check_sections(l);
}
