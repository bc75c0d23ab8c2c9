/* SPDX-License-Identifier: MIT */
#include "plugin/note.h"

#include "base/mem.h"
#include "plugin/layout.h"
#include "plugin/text.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PHDRS_MAX = 128,        /* a shared object has about ten */
    SHDRS_MAX = 512,        /* with debug information it has about forty */
    NOTE_BYTES_MAX = 65536, /* of one segment; ours has about a hundred */
    NOTE_TYPE = 0x54434441,
};
static const char note_owner[] = "aioduct";

/* This program's own header, placed by the linker: what a plugin must agree with. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

struct reader {
    int fd;
    const char *path;
    uint64_t file_bytes;
    ElfW(Ehdr) header;
    ElfW(Phdr) phdrs[PHDRS_MAX];
    ElfW(Shdr) shdrs[SHDRS_MAX];
    unsigned phdr_count, shdr_count;
    bool found;
    unsigned char note[NOTE_BYTES_MAX];
    struct aioduct_error *error;
};

static int refuse(struct reader *r, const char *why)
{
    return ad_plugin_fail(r->error, AIODUCT_E_PLUGIN_INVALID,
                          "%s is not an aioduct plugin (%s); not loaded", r->path, why);
}

/* @bytes at @offset, all of them -> 0 or the error */
static int read_at(struct reader *r, uint64_t offset, void *out, size_t bytes)
{
    unsigned char *at = out;
    if (offset > r->file_bytes || bytes > r->file_bytes - offset) {
        return refuse(r, "the file is truncated");
    }
    while (bytes > 0) {
        ssize_t got = pread(r->fd, at, bytes, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return refuse(r, got < 0 ? "it cannot be read" : "the file is truncated");
        }
        at += got;
        offset += (size_t)got;
        bytes -= (size_t)got;
    }
    return 0;
}

/* ---- header ---- */

static const char *machine_name(unsigned machine)
{
    static const struct {
        unsigned machine;
        const char *name;
    } known[] = {
        {EM_X86_64, "x86-64"},       {EM_386, "x86"},
        {EM_AARCH64, "AArch64"},     {EM_ARM, "ARM"},
        {EM_RISCV, "RISC-V"},        {EM_PPC64, "PowerPC64"},
        {EM_PPC, "PowerPC"},         {EM_S390, "S/390"},
        {EM_MIPS, "MIPS"},           {EM_SPARCV9, "SPARCv9"},
        {EM_LOONGARCH, "LoongArch"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].machine == machine) {
            return known[i].name;
        }
    }
    return NULL;
}

static int wrong_architecture(struct reader *r, unsigned machine)
{
    const unsigned char *ident = r->header.e_ident;
    const char *name = machine_name(machine), *mine = machine_name(__ehdr_start.e_machine);
    char number[16];
    if (name == NULL) {
        struct ad_text text;
        ad_text_init(&text, number, sizeof number);
        ad_text_add(&text, "machine %u", machine);
        name = number;
    }
    return ad_plugin_fail(
        r->error, AIODUCT_E_PLUGIN_INVALID, "%s is %s-bit %s%s; this process is %s%s", r->path,
        ident[EI_CLASS] == ELFCLASS32 ? "32" : "64", name,
        ident[EI_DATA] == __ehdr_start.e_ident[EI_DATA] ? "" : " of the other byte order",
        machine != __ehdr_start.e_machine ? ""
        : sizeof(void *) == 8             ? "64-bit "
                                          : "32-bit ",
        mine == NULL ? "another" : mine);
}

static int read_header(struct reader *r)
{
    ElfW(Ehdr) *h = &r->header;
    const unsigned char *mine = __ehdr_start.e_ident;
    if (r->file_bytes < SELFMAG) {
        return refuse(r, r->file_bytes == 0 ? "the file is empty" : "not an ELF file");
    }
    /* The head that is the same for 32 and 64 bits first. */
    size_t head = r->file_bytes < 20 ? (size_t)r->file_bytes : 20;
    int code = read_at(r, 0, h, head);
    if (code < 0) {
        return code;
    }
    if (memcmp(h->e_ident, ELFMAG, SELFMAG) != 0) {
        return refuse(r, "not an ELF file");
    }
    if (head < 20) {
        return refuse(r, "the file is truncated");
    }
    if ((h->e_ident[EI_CLASS] != ELFCLASS32 && h->e_ident[EI_CLASS] != ELFCLASS64) ||
        (h->e_ident[EI_DATA] != ELFDATA2LSB && h->e_ident[EI_DATA] != ELFDATA2MSB)) {
        return refuse(r, "its ELF header is malformed");
    }
    const unsigned char *machine = (const unsigned char *)h + 18;
    unsigned number = h->e_ident[EI_DATA] == ELFDATA2LSB ? machine[0] | machine[1] << 8
                                                         : machine[1] | machine[0] << 8;
    if (h->e_ident[EI_CLASS] != mine[EI_CLASS] || h->e_ident[EI_DATA] != mine[EI_DATA] ||
        number != __ehdr_start.e_machine) {
        return wrong_architecture(r, number);
    }
    return read_at(r, 0, h, sizeof *h);
}

/* ---- segments and sections ---- */

/* A file may do without sections. */
static int read_shdrs(struct reader *r)
{
    const ElfW(Ehdr) *h = &r->header;
    if (h->e_shoff == 0 && h->e_shnum == 0) {
        return 0;
    }
    if (h->e_shentsize != sizeof r->shdrs[0] || h->e_shnum == 0 || h->e_shnum > SHDRS_MAX) {
        return refuse(r, "its section headers are malformed");
    }
    r->shdr_count = h->e_shnum;
    return read_at(r, h->e_shoff, r->shdrs, h->e_shnum * sizeof r->shdrs[0]);
}

static int read_phdrs(struct reader *r)
{
    const ElfW(Ehdr) *h = &r->header;
    if (h->e_type != ET_DYN) {
        return refuse(r, "not a shared object");
    }
    if (h->e_phentsize != sizeof r->phdrs[0] || h->e_phnum == 0 || h->e_phnum > PHDRS_MAX ||
        h->e_phoff % _Alignof(ElfW(Phdr)) != 0) {
        return refuse(r, "its program headers are malformed");
    }
    r->phdr_count = h->e_phnum;
    return read_at(r, h->e_phoff, r->phdrs, h->e_phnum * sizeof r->phdrs[0]);
}

static int check_layout(struct reader *r)
{
    const struct ad_layout layout = {
        .segments = r->phdrs,
        .segment_count = r->phdr_count,
        .sections = r->shdrs,
        .section_count = r->shdr_count,
        .file_bytes = r->file_bytes,
    };
    const char *wrong = ad_layout_check(&layout);
    return wrong == NULL ? 0 : refuse(r, wrong);
}

/* ---- notes ---- */

static int take_note(struct reader *r, const char *text, size_t bytes, struct ad_note *out)
{
    if (r->found) {
        return refuse(r, "more than one .note.aioduct");
    }
    const char *wrong = ad_note_parse(text, bytes, out);
    if (wrong != NULL) {
        ad_plugin_fail(r->error, AIODUCT_E_PLUGIN_INVALID,
                       "%s has a malformed .note.aioduct: %s; not loaded", r->path, wrong);
        return AIODUCT_E_PLUGIN_INVALID;
    }
    r->found = true;
    return 0;
}

static size_t align_up(size_t value, size_t align)
{
    return (value + align - 1) / align * align;
}

/* Walk the notes in r->note[0, bytes). A length that leads out of the segment ends the walk. */
static int walk_notes(struct reader *r, size_t bytes, size_t align, struct ad_note *out)
{
    ElfW(Nhdr) n;
    size_t at = 0;
    int code = 0;
    while (code == 0 && at <= bytes && bytes - at >= sizeof n) {
        memcpy(&n, r->note + at, sizeof n);
        at += sizeof n;
        if (n.n_namesz > bytes - at) {
            break;
        }
        const unsigned char *name = r->note + at;
        size_t text = align_up(at + n.n_namesz, align);
        if (text > bytes || n.n_descsz > bytes - text) {
            break;
        }
        if (n.n_type == NOTE_TYPE && n.n_namesz == sizeof note_owner &&
            memcmp(name, note_owner, sizeof note_owner) == 0) {
            code = take_note(r, (const char *)r->note + text, n.n_descsz, out);
        }
        at = align_up(text + n.n_descsz, align);
    }
    return code;
}

static int find_note(struct reader *r, struct ad_note *out)
{
    int code = 0;
    for (unsigned i = 0; code == 0 && i < r->phdr_count; i++) {
        const ElfW(Phdr) *p = &r->phdrs[i];
        if (p->p_type != PT_NOTE || p->p_filesz == 0) {
            continue;
        }
        size_t bytes = p->p_filesz < NOTE_BYTES_MAX ? (size_t)p->p_filesz : NOTE_BYTES_MAX;
        code = read_at(r, p->p_offset, r->note, bytes);
        if (code == 0) {
            code = walk_notes(r, bytes, p->p_align == 8 ? 8 : 4, out);
        }
    }
    return code < 0 || r->found ? code : refuse(r, "no .note.aioduct");
}

static int read_open(struct reader *r, struct ad_note *out)
{
    struct stat st;
    if (fstat(r->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        return refuse(r, "not a regular file");
    }
    r->file_bytes = (uint64_t)st.st_size;
    int code = read_header(r);
    code = code < 0 ? code : read_phdrs(r);
    code = code < 0 ? code : read_shdrs(r);
    code = code < 0 ? code : check_layout(r);
    return code < 0 ? code : find_note(r, out);
}

int ad_elf_read(const char *path, struct ad_note *out, struct aioduct_error *error)
{
    struct reader *r = ad_alloc(sizeof *r); /* of which little is used */
    if (r == NULL) {
        return ad_plugin_fail_memory(error);
    }
    r->path = path;
    r->error = error;
    r->phdr_count = r->shdr_count = 0;
    r->found = false;
    r->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int code;
    if (r->fd < 0) {
        code = ad_plugin_fail(error, AIODUCT_E_PLUGIN_INVALID, "cannot read %s: %s", path,
                              aioduct_error_text(-errno));
    } else {
        code = read_open(r, out);
        close(r->fd);
    }
    ad_free(r);
    return code;
}
