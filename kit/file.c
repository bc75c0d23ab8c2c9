/* SPDX-License-Identifier: MIT */
#include "file.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NATIVE_CLASS = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32 };

/* The whole file; nothing outside of it is looked at, whatever its numbers say. */
struct image {
    const uint8_t *bytes;
    size_t size;
};

static const void *at(const struct image *image, uint64_t offset, uint64_t bytes)
{
    return offset <= image->size && bytes <= image->size - offset ? image->bytes + offset : NULL;
}

static const char *text_at(const struct image *image, uint64_t offset)
{
    const char *text = at(image, offset, 1);
    return text != NULL && memchr(text, '\0', image->size - offset) != NULL ? text : NULL;
}

static const char *map(const char *path, struct image *image)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *bytes = MAP_FAILED;
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0) {
        bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    }
    if (fd >= 0) {
        close(fd);
    }
    if (bytes == MAP_FAILED) {
        return "it cannot be read";
    }
    *image = (struct image){bytes, (size_t)st.st_size};
    return NULL;
}

/* ---- program headers ---- */

static void read_notes(const struct image *image, const ElfW(Phdr) * ph, struct ct_file *out)
{
    uint64_t unit = ph->p_align == 8 ? 8 : 4;
    for (uint64_t from = ph->p_offset; from < ph->p_offset + ph->p_filesz;) {
        const ElfW(Nhdr) *note = at(image, from, sizeof *note);
        if (note == NULL) {
            return;
        }
        uint64_t name = from + sizeof *note;
        uint64_t text = name + (note->n_namesz + unit - 1) / unit * unit;
        const char *owner = at(image, name, note->n_namesz);
        const char *value = at(image, text, note->n_descsz);
        if (owner == NULL || value == NULL) {
            return;
        }
        if (note->n_namesz == sizeof "aioduct" && memcmp(owner, "aioduct", sizeof "aioduct") == 0) {
            snprintf(out->note, sizeof out->note, "%.*s", (int)note->n_descsz, value);
            out->note_count++;
        }
        from = text + (note->n_descsz + unit - 1) / unit * unit;
    }
}

/* An address of the loaded object -> where it lies in the file, or UINT64_MAX. */
static uint64_t offset_of(const ElfW(Phdr) * ph, unsigned count, uint64_t address)
{
    for (unsigned i = 0; i < count; i++) {
        if (ph[i].p_type == PT_LOAD && address >= ph[i].p_vaddr &&
            address - ph[i].p_vaddr < ph[i].p_filesz) {
            return ph[i].p_offset + (address - ph[i].p_vaddr);
        }
    }
    return UINT64_MAX;
}

static void read_dynamic(const struct image *image, const ElfW(Phdr) * headers, unsigned count,
                         const ElfW(Phdr) * dynamic, struct ct_file *out)
{
    const ElfW(Dyn) *entries = at(image, dynamic->p_offset, dynamic->p_filesz);
    size_t entry_count = entries == NULL ? 0 : dynamic->p_filesz / sizeof *entries;
    uint64_t strings = UINT64_MAX;
    for (size_t i = 0; i < entry_count; i++) {
        if (entries[i].d_tag == DT_STRTAB) {
            strings = offset_of(headers, count, entries[i].d_un.d_ptr);
        }
    }
    for (size_t i = 0; i < entry_count && strings != UINT64_MAX; i++) {
        uint64_t value = entries[i].d_un.d_val;
        const char *text = text_at(image, strings + value);
        switch (entries[i].d_tag) {
        case DT_NEEDED:
            if (text != NULL && out->needed_count < CT_NAMES_MAX) {
                out->needed[out->needed_count++] = text;
            }
            break;
        case DT_SONAME:
            out->soname = text;
            break;
        case DT_RPATH:
        case DT_RUNPATH:
            out->run_path = text;
            break;
        case DT_TEXTREL:
            out->has_text_relocations = true;
            break;
        case DT_BIND_NOW:
            out->binds_now = true;
            break;
        case DT_FLAGS:
            out->binds_now = out->binds_now || (value & DF_BIND_NOW);
            out->has_text_relocations = out->has_text_relocations || (value & DF_TEXTREL);
            out->has_static_tls = (value & DF_STATIC_TLS) != 0;
            break;
        case DT_FLAGS_1:
            out->binds_now = out->binds_now || (value & DF_1_NOW);
            break;
        default:
            break;
        }
    }
}

/* ---- symbols ---- */

static bool is_of_sanitizer(const char *name)
{
    static const char *const prefixes[] = {"__asan_", "__tsan_", "__ubsan_", "__msan_",
                                           "__odr_asan"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0) {
            return true;
        }
    }
    return false;
}

static void take_symbol(const ElfW(Sym) * symbol, const char *name, struct ct_file *out)
{
    unsigned bind = symbol->st_info >> 4; /* the same in both classes */
    if (name == NULL || name[0] == '\0' || bind == STB_LOCAL) {
        return;
    }
    if (is_of_sanitizer(name)) {
        out->is_sanitized = true;
    } else if (symbol->st_shndx != SHN_UNDEF && (symbol->st_other & 3) <= STV_DEFAULT) {
        if (out->export_count < CT_NAMES_MAX) {
            out->exports[out->export_count] = name;
        }
        out->export_count++;
    }
}

/* By the section headers, which tell how many there are. */
static void read_symbols(const struct image *image, const ElfW(Ehdr) * head, struct ct_file *out)
{
    const ElfW(Shdr) *sections = at(image, head->e_shoff, head->e_shnum * sizeof *sections);
    for (unsigned i = 0; sections != NULL && i < head->e_shnum; i++) {
        const ElfW(Shdr) *section = &sections[i];
        if (section->sh_type != SHT_DYNSYM || section->sh_link >= head->e_shnum) {
            continue;
        }
        const ElfW(Sym) *symbols = at(image, section->sh_offset, section->sh_size);
        uint64_t strings = sections[section->sh_link].sh_offset;
        for (size_t j = 0; symbols != NULL && j < section->sh_size / sizeof *symbols; j++) {
            take_symbol(&symbols[j], text_at(image, strings + symbols[j].st_name), out);
        }
        out->has_symbols = symbols != NULL;
    }
}

const char *ct_file_read(const char *path, struct ct_file *out)
{
    struct image image;
    memset(out, 0, sizeof *out);
    const char *wrong = map(path, &image);
    if (wrong != NULL) {
        return wrong;
    }
    const ElfW(Ehdr) *head = at(&image, 0, sizeof *head);
    if (head == NULL || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
        head->e_ident[EI_CLASS] != NATIVE_CLASS || head->e_type != ET_DYN) {
        return "it is not a shared object of this machine";
    }
    const ElfW(Phdr) *headers = at(&image, head->e_phoff, head->e_phnum * sizeof *headers);
    if (headers == NULL) {
        return "it is cut short";
    }
    out->has_executable_stack = true; /* unless it says otherwise */
    for (unsigned i = 0; i < head->e_phnum; i++) {
        switch (headers[i].p_type) {
        case PT_NOTE:
            read_notes(&image, &headers[i], out);
            break;
        case PT_DYNAMIC:
            read_dynamic(&image, headers, head->e_phnum, &headers[i], out);
            break;
        case PT_GNU_RELRO:
            out->has_relro = true;
            break;
        case PT_GNU_STACK:
            out->has_executable_stack = (headers[i].p_flags & PF_X) != 0;
            break;
        default:
            break;
        }
    }
    read_symbols(&image, head, out);
    return NULL;
}

bool ct_note_value(const char *note, const char *key, char *out, size_t bytes)
{
    size_t key_bytes = strlen(key);
    for (const char *pair = note; *pair != '\0';) {
        size_t length = strcspn(pair, ";");
        if (length > key_bytes && pair[key_bytes] == '=' && memcmp(pair, key, key_bytes) == 0) {
            snprintf(out, bytes, "%.*s", (int)(length - key_bytes - 1), pair + key_bytes + 1);
            return true;
        }
        pair += length + (pair[length] == ';');
    }
    return false;
}
