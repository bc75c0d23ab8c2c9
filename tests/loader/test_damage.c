/* SPDX-License-Identifier: MIT */
/* A good plugin with some of its bytes changed, cut off, or gone: it loads, or there is an error
 * that names the file and says why. It never takes the process down. Each attempt is a child,
 * because what loads stays, and so that a crash is counted.
 *
 * By itself this takes a sample; with AIODUCT_DAMAGE=all each byte and each bit. */
#include "support.h"

#include "plugin/note.h"

#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static unsigned char *good;
static size_t good_bytes;
static char path[256];
static unsigned loaded, refused, worse;

static int setup(void **state)
{
    if (loader_setup(state) != 0) {
        return 1;
    }
    snprintf(path, sizeof path, "%s/libaioduct-rt-sound.so", loader_dir);
    good = loader_read(loader_built("sound"), &good_bytes);
    return 0;
}

static int teardown(void **state)
{
    free(good);
    return loader_teardown(state);
}

/* ---- one attempt ---- */

/* Child's answers: 0 loaded, 1 refused with the file's name, 2 refused without it. */
static int load_in_child(void)
{
    pid_t pid = tap_fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(20);
        struct aioduct_error error = {0};
        const struct ad_plugin *plugin = NULL;
        struct ad_selection want = {.option = path};
        int code = ad_runtime_choose(&want, &plugin, NULL, &error);
        const char *name = strstr(error.message, path);
        bool says = name != NULL && strlen(error.message) > strlen(path) + 10;
        bool sound = code == 0 ? plugin != NULL : error.code == code && plugin == NULL && says;
        if (!sound) {
            fprintf(stderr, "%d: %s\n", code, error.message);
        }
        _exit(!sound ? 2 : code == 0 ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static void survives(const unsigned char *bytes, size_t count, size_t where, unsigned how)
{
    loader_write(path, bytes, count, 0644);
    int answer = load_in_child();
    loaded += answer == 0;
    refused += answer == 1;
    if (answer > 1) {
        printf("byte %zu, change %#x: %s %d\n", where, how,
               answer > 100 ? "ended by signal" : "answer", answer % 100);
        worse++;
    }
}

static void report(void)
{
    printf("%u loaded, %u refused, %u neither\n", loaded, refused, worse);
    bool sound = refused > 0 && worse == 0;
    loaded = refused = worse = 0;
    assert_true(sound);
}

/* ---- which attempts ---- */

static bool all_of_it(void)
{
    const char *value = getenv("AIODUCT_DAMAGE");
    return value != NULL && strcmp(value, "all") == 0;
}

/* Attempt @number of @total: is it one of the some @budget of a short run? The stride has no
 * divisor of the number of masks, so that all of them have their turn. */
static bool is_taken(size_t number, size_t total, size_t budget)
{
    size_t stride = all_of_it() || total <= budget ? 1 : total / budget | 1;
    stride += stride > 1 && stride % 3 == 0 ? 2 : 0;
    return number % stride == 0;
}

static const unsigned char masks[] = {0xff, 0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80};
enum { MASK_COUNT = sizeof masks };

/* Change each byte of [from, from + count) in each way, @budget of it in a short run. */
static void flip(size_t from, size_t count, size_t budget)
{
    for (size_t n = 0; n < count * MASK_COUNT; n++) {
        size_t i = from + n / MASK_COUNT;
        if (is_taken(n, count * MASK_COUNT, budget)) {
            good[i] ^= masks[n % MASK_COUNT];
            survives(good, good_bytes, i, masks[n % MASK_COUNT]);
            good[i] ^= masks[n % MASK_COUNT];
        }
    }
}

/* ---- what is where ---- */

static ElfW(Ehdr) header(void)
{
    ElfW(Ehdr) h;
    memcpy(&h, good, sizeof h);
    return h;
}

static ElfW(Shdr) section(size_t index)
{
    ElfW(Shdr) s;
    memcpy(&s, good + header().e_shoff + index * sizeof s, sizeof s);
    return s;
}

/* Place in the file of what is loaded at @address. */
static size_t offset_of(ElfW(Addr) address)
{
    for (size_t i = 0; i < header().e_phnum; i++) {
        ElfW(Phdr) p;
        memcpy(&p, good + header().e_phoff + i * sizeof p, sizeof p);
        if (p.p_type == PT_LOAD && address >= p.p_vaddr && address - p.p_vaddr < p.p_filesz) {
            return (size_t)(p.p_offset + (address - p.p_vaddr));
        }
    }
    fail_msg("%#zx is nowhere in the file", (size_t)address);
    return 0;
}

/* Call @visit for each symbol of the symbol table, with its name. */
static void each_symbol(void (*visit)(const char *name, const ElfW(Sym) * symbol, void *user),
                        void *user)
{
    for (size_t i = 0; i < header().e_shnum; i++) {
        ElfW(Shdr) s = section(i);
        if (s.sh_type != SHT_SYMTAB) {
            continue;
        }
        const char *names = (const char *)good + section(s.sh_link).sh_offset;
        for (size_t k = 0; k < s.sh_size / sizeof(ElfW(Sym)); k++) {
            ElfW(Sym) symbol;
            memcpy(&symbol, good + s.sh_offset + k * sizeof symbol, sizeof symbol);
            visit(names + symbol.st_name, &symbol, user);
        }
    }
}

struct wanted {
    const char *name;
    ElfW(Sym) symbol;
};

static void on_wanted(const char *name, const ElfW(Sym) * symbol, void *user)
{
    struct wanted *wanted = user;
    if (strcmp(name, wanted->name) == 0) {
        wanted->symbol = *symbol;
    }
}

static ElfW(Sym) find_symbol(const char *name)
{
    struct wanted wanted = {.name = name};
    each_symbol(on_wanted, &wanted);
    if (wanted.symbol.st_value == 0) {
        fail_msg("no symbol %s", name);
    }
    return wanted.symbol;
}

struct place {
    ElfW(Addr) address;
    bool inside; /* a function that begins before it */
};

static void on_function(const char *name, const ElfW(Sym) * symbol, void *user)
{
    struct place *place = user;
    (void)name;
    place->inside |= ELF64_ST_TYPE(symbol->st_info) == STT_FUNC &&
                     place->address > symbol->st_value &&
                     place->address - symbol->st_value < symbol->st_size;
}

/* A pointer to another function than was meant, or to code that no compiler wrote, cannot be told
 * from the right one. */
static bool is_code(ElfW(Addr) address)
{
    struct place place = {.address = address};
    for (size_t i = 0; i < header().e_shnum; i++) {
        ElfW(Shdr) s = section(i);
        if ((s.sh_flags & SHF_EXECINSTR) && address >= s.sh_addr &&
            address - s.sh_addr < s.sh_size) {
            each_symbol(on_function, &place);
            return !place.inside;
        }
    }
    return false;
}

/* ---- cases ---- */

static void test_whole(void **state)
{
    (void)state;
    survives(good, good_bytes, 0, 0);
    assert_int_equal(loaded, 1);
}

static void test_header(void **state)
{
    (void)state;
    flip(0, sizeof(ElfW(Ehdr)), 200);
    report();
}

static void test_program_headers(void **state)
{
    (void)state;
    flip(header().e_phoff, header().e_phnum * sizeof(ElfW(Phdr)), 700);
    report();
}

/* More than a flip: sizes and places that lead far away. */
static void test_segments(void **state)
{
    (void)state;
    static const uint64_t values[] = {1, 0x1000, UINT32_MAX, INT64_MAX, UINT64_MAX};
    for (size_t n = 0; n < header().e_phnum * sizeof values / sizeof values[0]; n++) {
        uint64_t value = values[n % (sizeof values / sizeof values[0])];
        unsigned char *at =
            good + header().e_phoff + n / (sizeof values / sizeof values[0]) * sizeof(ElfW(Phdr));
        ElfW(Phdr) was, p;
        memcpy(&was, at, sizeof was);
        ElfW(Addr) * fields[] = {&p.p_offset, &p.p_vaddr, &p.p_filesz, &p.p_memsz};
        for (size_t f = 0; f < sizeof fields / sizeof fields[0]; f++) {
            p = was;
            *fields[f] = (ElfW(Addr))(f < 2 ? value : *fields[f] + value);
            memcpy(at, &p, sizeof p);
            if (is_taken(n, header().e_phnum * sizeof values / sizeof values[0], 20)) {
                survives(good, good_bytes, n, (unsigned)f);
            }
        }
        memcpy(at, &was, sizeof was);
    }
    report();
}

static void test_section_headers(void **state)
{
    (void)state;
    flip(header().e_shoff, header().e_shnum * sizeof(ElfW(Shdr)), 150);
    report();
}

static void test_note(void **state)
{
    (void)state;
    const unsigned char *owner = memmem(good, good_bytes, "aioduct\0abi=", 12);
    assert_non_null(owner);
    size_t at = (size_t)(owner - good) - sizeof(ElfW(Nhdr));
    flip(at, sizeof(ElfW(Nhdr)) + 8 + strlen((const char *)owner + 8) + 1, 300);
    report();
}

static void test_descriptor(void **state)
{
    (void)state;
    ElfW(Sym) symbol = find_symbol("aioduct_plugin_entry_1");
    flip(offset_of(symbol.st_value), sizeof(struct aioduct_plugin), 240);
    report();
}

static const char *const tables[] = {"runtime", "poll", "connector"};
enum { TABLE_COUNT = sizeof tables / sizeof tables[0] };

static void test_tables(void **state)
{
    (void)state;
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        ElfW(Sym) symbol = find_symbol(tables[i]);
        flip(offset_of(symbol.st_value), 48, 70); /* sizes, flags, layouts */
    }
    report();
}

/* A slot that the system's loader fills in has its value in a relocation. */
static void flip_relocation(size_t at, size_t budget)
{
    ElfW(Rela) rela;
    memcpy(&rela, good + at, sizeof rela);
    size_t addend = offsetof(ElfW(Rela), r_addend);
    for (size_t n = 0; n < sizeof rela.r_addend * MASK_COUNT; n++) {
        ElfW(Rela) changed = rela;
        ((unsigned char *)&changed)[addend + n / MASK_COUNT] ^= masks[n % MASK_COUNT];
        if (is_code((ElfW(Addr))changed.r_addend) ||
            !is_taken(n, sizeof rela.r_addend * MASK_COUNT, budget)) {
            continue;
        }
        memcpy(good + at, &changed, sizeof changed);
        survives(good, good_bytes, at + addend + n / MASK_COUNT, masks[n % MASK_COUNT]);
    }
    memcpy(good + at, &rela, sizeof rela);
}

static unsigned flip_relocations(ElfW(Addr) from, size_t bytes, size_t budget)
{
    unsigned count = 0;
    for (size_t i = 0; i < header().e_shnum; i++) {
        ElfW(Shdr) s = section(i);
        if (s.sh_type != SHT_RELA || !(s.sh_flags & SHF_ALLOC)) {
            continue;
        }
        for (size_t k = 0; k < s.sh_size / sizeof(ElfW(Rela)); k++) {
            ElfW(Rela) rela;
            memcpy(&rela, good + s.sh_offset + k * sizeof rela, sizeof rela);
            if (rela.r_offset >= from && rela.r_offset - from < bytes) {
                flip_relocation(s.sh_offset + k * sizeof rela, budget);
                count++;
            }
        }
    }
    return count;
}

static void test_descriptor_pointers(void **state)
{
    (void)state;
    ElfW(Sym) symbol = find_symbol("aioduct_plugin_entry_1");
    /* name, version, guard_symbols, probe, get_interface */
    unsigned count = flip_relocations(symbol.st_value, symbol.st_size, 40);
    if (count == 0) {
        tap_skip("this machine's relocations have no addends");
    }
    assert_int_equal(count, 5);
    report();
}

static void test_table_pointers(void **state)
{
    (void)state;
    unsigned count = 0;
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        ElfW(Sym) symbol = find_symbol(tables[i]);
        count += flip_relocations(symbol.st_value, symbol.st_size, 12);
    }
    ElfW(Sym) guards = find_symbol("guards");
    count += flip_relocations(guards.st_value, guards.st_size, 12);
    if (count == 0) {
        tap_skip("this machine's relocations have no addends");
    }
    assert_int_equal(count, 6 + 3 + 9 + 2);
    report();
}

/* Where the descriptor is, as the dynamic symbol table has it. */
static void test_symbol(void **state)
{
    (void)state;
    ElfW(Addr) value = find_symbol("aioduct_plugin_entry_1").st_value;
    for (size_t i = 0; i < header().e_shnum; i++) {
        ElfW(Shdr) s = section(i);
        for (size_t k = 0; s.sh_type == SHT_DYNSYM && k < s.sh_size / sizeof(ElfW(Sym)); k++) {
            ElfW(Sym) symbol;
            size_t at = s.sh_offset + k * sizeof symbol;
            memcpy(&symbol, good + at, sizeof symbol);
            if (symbol.st_value == value) {
                flip(at + offsetof(ElfW(Sym), st_value), sizeof symbol.st_value, 72);
                flip(at + offsetof(ElfW(Sym), st_size), sizeof symbol.st_size, 9);
            }
        }
    }
    report();
}

static void test_cut(void **state)
{
    (void)state;
    for (size_t count = 0; count < good_bytes; count++) {
        if (is_taken(count, good_bytes, 300)) {
            survives(good, count, count, 0);
        }
    }
    report();
}

static void test_grown(void **state)
{
    (void)state;
    unsigned char *longer = calloc(2, good_bytes);
    assert_non_null(longer);
    memcpy(longer, good, good_bytes);
    survives(longer, 2 * good_bytes, 0, 0);
    free(longer);
    assert_int_equal(loaded, 1);
}

/* ---- gone ---- */

static void test_deleted(void **state)
{
    (void)state;
    struct loader_outcome got;
    unlink(path);
    loader_choose(&(struct loader_run){.option = path}, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_NOT_FOUND, path, "Check the path.");
    loader_choose(&(struct loader_run){.option = "sound", .path = loader_dir}, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_NOT_FOUND, path, "AIODUCT_PLUGIN_PATH");
    loader_choose(&(struct loader_run){.option = "sound", .path = "/no/such/place"}, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_NOT_FOUND, "/no/such/place/libaioduct-rt-sound.so", "");
}

/* What was loaded stays as it was, whatever becomes of the file. */
static void delete_between(struct loader_outcome *out, const void *user)
{
    const struct ad_plugin *first = NULL, *again = NULL;
    struct ad_selection want = {.option = user};
    MUST(ad_runtime_choose(&want, &first, NULL, &out->error) == 0);
    unlink(path);
    MUST(strcmp(first->name, "sound") == 0 && first->runtime.now_ns(NULL) == 1);
    out->code = ad_runtime_choose(&want, &again, NULL, &out->error);
    MUST(again == NULL && first->runtime.now_ns(NULL) == 1);
}

static void test_deleted_later(void **state)
{
    (void)state;
    struct loader_outcome got;
    loader_write(path, good, good_bytes, 0644);
    loader_in_child(&(struct loader_run){.option = NULL}, delete_between, path, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_NOT_FOUND, path, "Check the path.");
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"the plugin as it is loads", test_whole, NULL, NULL, NULL},
        {"any changed bit of the ELF header is survived", test_header, NULL, NULL, NULL},
        {"any changed bit of the program headers is survived", test_program_headers, NULL, NULL,
         NULL},
        {"segments that lead far away are survived", test_segments, NULL, NULL, NULL},
        {"any changed bit of the section headers is survived", test_section_headers, NULL, NULL,
         NULL},
        {"any changed bit of the note is survived", test_note, NULL, NULL, NULL},
        {"any changed bit of the descriptor is survived", test_descriptor, NULL, NULL, NULL},
        {"any changed bit of the tables' heads is survived", test_tables, NULL, NULL, NULL},
        {"any changed pointer of the descriptor is survived", test_descriptor_pointers, NULL, NULL,
         NULL},
        {"any changed pointer of the tables is survived", test_table_pointers, NULL, NULL, NULL},
        {"any changed bit of the entry's symbol is survived", test_symbol, NULL, NULL, NULL},
        {"a file cut anywhere is survived", test_cut, NULL, NULL, NULL},
        {"bytes behind the end do no harm", test_grown, NULL, NULL, NULL},
        {"a file that is gone is named", test_deleted, NULL, NULL, NULL},
        {"a file that goes away after it was loaded is named, and what was loaded stays",
         test_deleted_later, NULL, NULL, NULL},
    };
    tap_limit_seconds(all_of_it() ? 0 : 120);
    return TAP_RUN(cases, setup, teardown);
}
