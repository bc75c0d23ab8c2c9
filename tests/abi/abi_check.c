/* SPDX-License-Identifier: MIT */
/* Today's plugin headers against frozen copies of each version that was released: what was there
 * stays where it is and what it is. What is new is recorded in a copy of its own before it is
 * released; HOW says how. A member that is gone altogether does not even compile: the compiler's
 * message names it. */
#include "abi_1_0.h"
#include "abi_1_1.h"
#include "tap.h"

#include <aioduct/plugin/plugin.h>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

#define NEWEST_MINOR 1 /* of the frozen copies */

#define HOW                                                                                     \
    "Freeze it: while this minor is not released, write it into tests/abi/abi_1_%d.h (struct "  \
    "and lists); else raise AIODUCT_ABI_MINOR, add tests/abi/abi_1_%d.h with the structs that " \
    "grew, and name it in abi_check.c and members.py. See docs/HACKING.md."

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- members ---- */

struct member {
    const char *version, *table, *name;
    size_t old_offset, offset, old_bytes, bytes;
    bool same_type;
};

#define FIELD(type, member) ((type *)NULL)->member
#define IS(type, member, as) \
    __builtin_types_compatible_p(__typeof__(FIELD(type, member)), __typeof__(as))
#define ROW(v, t, m, same)                   \
    {#v,                                     \
     #t,                                     \
     #m,                                     \
     offsetof(struct abi_##v##_##t, m),      \
     offsetof(struct aioduct_##t, m),        \
     sizeof(FIELD(struct abi_##v##_##t, m)), \
     sizeof(FIELD(struct aioduct_##t, m)),   \
     (same)},
#define ROW_1_0(t, m) ROW(1_0, t, m, IS(struct abi_1_0_##t, m, FIELD(struct aioduct_##t, m)))
#define ROW_1_0_LAYOUT(t, m)                                \
    ROW(1_0, t, m,                                          \
        IS(struct abi_1_0_##t, m, struct abi_1_0_layout) && \
            IS(struct aioduct_##t, m, struct aioduct_layout))
#define ROW_1_1(t, m) ROW(1_1, t, m, IS(struct abi_1_1_##t, m, FIELD(struct aioduct_##t, m)))
#define ROW_1_1_LAYOUT(t, m)                                \
    ROW(1_1, t, m,                                          \
        IS(struct abi_1_1_##t, m, struct abi_1_0_layout) && \
            IS(struct aioduct_##t, m, struct aioduct_layout))

/* clang-format off */
static const struct member members[] = {
    ABI_1_0_MEMBERS(ROW_1_0, ROW_1_0_LAYOUT)
    ABI_1_1_MEMBERS(ROW_1_1, ROW_1_1_LAYOUT)
};
/* clang-format on */

static void members_are_what_and_where_they_were(void **state)
{
    (void)state;
    unsigned wrong = 0;
    for (size_t i = 0; i < COUNT(members); i++) {
        const struct member *m = &members[i];
        if (m->offset != m->old_offset || m->bytes != m->old_bytes || !m->same_type) {
            print_message("struct aioduct_%s: %s is %zu bytes at %zu%s, was %zu bytes at %zu\n",
                          m->table, m->name, m->bytes, m->offset,
                          m->same_type ? "" : " of another type", m->old_bytes, m->old_offset);
            wrong++;
        }
    }
    if (wrong > 0) {
        tap_fail("%u members changed: released plugins break. Append, or make a new id.", wrong);
    }
}

/* ---- tables ---- */

struct table {
    const char *version, *name;
    size_t frozen, today, align, old_align;
};

#define TABLE(v, t)                \
    {#v,                           \
     #t,                           \
     sizeof(struct abi_##v##_##t), \
     sizeof(struct aioduct_##t),   \
     _Alignof(struct aioduct_##t), \
     _Alignof(struct abi_##v##_##t)},
#define TABLE_1_0(t) TABLE(1_0, t)
#define TABLE_1_1(t) TABLE(1_1, t)
/* clang-format off */
static const struct table tables[] = {
    ABI_1_0_TABLES(TABLE_1_0)
    ABI_1_1_TABLES(TABLE_1_1)
};
/* clang-format on */

static bool has_grown_since(const struct table *table)
{
    for (const struct table *t = table + 1; t < tables + COUNT(tables); t++) {
        if (strcmp(t->name, table->name) == 0) {
            return true;
        }
    }
    return false;
}

static void new_members_are_recorded(void **state)
{
    (void)state;
    unsigned wrong = 0;
    for (size_t i = 0; i < COUNT(tables); i++) {
        const struct table *t = &tables[i];
        if (!has_grown_since(t) && (t->today != t->frozen || t->align != t->old_align)) {
            print_message("struct aioduct_%s has %zu bytes aligned to %zu; the newest frozen copy "
                          "has %zu aligned to %zu\n",
                          t->name, t->today, t->align, t->frozen, t->old_align);
            wrong++;
        }
    }
    if (wrong > 0) {
        tap_fail("%u tables are not as recorded. " HOW, wrong, NEWEST_MINOR, NEWEST_MINOR + 1);
    }
    if (AIODUCT_ABI_MINOR != NEWEST_MINOR) {
        tap_fail("AIODUCT_ABI_MINOR is %d, and the newest frozen copy is 1.%d. " HOW,
                 AIODUCT_ABI_MINOR, NEWEST_MINOR, NEWEST_MINOR, NEWEST_MINOR + 1);
    }
}

/* The list of members is written by hand: a member that it forgets would never be compared. */
static void the_lists_name_every_frozen_member(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(tables); i++) {
        size_t end = 0;
        for (size_t k = 0; k < COUNT(members); k++) {
            if (strcmp(members[k].table, tables[i].name) == 0 &&
                strcmp(members[k].version, tables[i].version) == 0) {
                size_t gap = members[k].old_offset - end;
                if (members[k].old_offset < end || gap >= sizeof(void *)) {
                    tap_fail("%s.%s follows a hole", tables[i].name, members[k].name);
                }
                end = members[k].old_offset + members[k].old_bytes;
            }
        }
        if (end > tables[i].frozen || tables[i].frozen - end >= sizeof(void *)) {
            tap_fail("the last members of %s are not listed", tables[i].name);
        }
    }
}

/* A minor-0 plugin's or host's table ends where 1.0 ended: nothing that it lacks is before that. */
static void tables_begin_with_their_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(members); i++) {
        if (strcmp(members[i].name, "size") == 0) {
            bool behind_magic = strcmp(members[i].table, "plugin") == 0;
            assert_int_equal(members[i].offset, behind_magic ? 4 : 0);
            assert_int_equal(members[i].bytes, 4);
        }
    }
}

/* ---- numbers and texts ---- */

static void numbers_are_what_they_were(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t was, is;
    } numbers[] = {
#define NUMBER(name, value) {#name, value, name},
        ABI_1_0_NUMBERS(NUMBER)
#undef NUMBER
    };
    for (size_t i = 0; i < COUNT(numbers); i++) {
        if (numbers[i].is != numbers[i].was) {
            tap_fail("%s is %lld, was %lld", numbers[i].name, (long long)numbers[i].is,
                     (long long)numbers[i].was);
        }
    }
}

static void interface_ids_are_what_they_were(void **state)
{
    (void)state;
    static const struct {
        const char *was, *is;
    } texts[] = {
#define TEXT(name, value) {value, name},
        ABI_1_0_TEXTS(TEXT)
#undef TEXT
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_string_equal(texts[i].is, texts[i].was);
    }
}

/* ---- what the macros make: this program is a plugin, too ---- */

static void probe(const struct aioduct_host *host, struct aioduct_probe *out)
{
    (void)host;
    out->code = 0;
}

static const void *interfaces(const char *id)
{
    (void)id;
    return NULL;
}

AIODUCT_PLUGIN_NOTE(abi_check, "runtime,poll,connector")
AIODUCT_PLUGIN_EXPORT(abi_check) = {
    AIODUCT_PLUGIN_HEAD(abi_check),
    .version = "1",
    .probe = probe,
    .get_interface = interfaces,
};

static void the_descriptor_is_exported_under_its_name(void **state)
{
    (void)state;
    const struct abi_1_0_plugin *plugin = dlsym(RTLD_DEFAULT, ABI_1_0_ENTRY);
    if (plugin == NULL) {
        tap_fail("AIODUCT_PLUGIN_EXPORT does not export " ABI_1_0_ENTRY);
    }
    assert_int_equal(plugin->magic, 0x54434441);
    assert_int_equal(plugin->size, sizeof(struct aioduct_plugin));
    assert_int_equal(plugin->abi_major, 1);
    assert_int_equal(plugin->abi_minor_built, AIODUCT_ABI_MINOR);
    assert_int_equal(plugin->abi_minor_needed, 0);
    assert_int_equal(plugin->flags, 0);
    assert_string_equal(plugin->name, "abi_check");
    assert_ptr_equal(plugin->get_interface, interfaces);
}

struct notes {
    unsigned count;
    char text[200];
};

static void look_at_note(const ElfW(Nhdr) * n, struct notes *notes)
{
    const char *owner = (const char *)(n + 1);
    if (n->n_namesz == sizeof ABI_1_0_NOTE_OWNER &&
        memcmp(owner, ABI_1_0_NOTE_OWNER, n->n_namesz) == 0) {
        assert_int_equal(n->n_type, ABI_1_0_NOTE_TYPE);
        assert_in_range(n->n_descsz, 1, sizeof notes->text);
        memcpy(notes->text, owner + (n->n_namesz + 3) / 4 * 4, n->n_descsz);
        assert_int_equal(notes->text[n->n_descsz - 1], '\0');
        assert_int_equal(strlen(notes->text), n->n_descsz - 1);
        notes->count++;
    }
}

static int look_at_program(struct dl_phdr_info *info, size_t bytes, void *user)
{
    (void)bytes;
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type != PT_NOTE || p->p_align != 4) {
            continue;
        }
        const char *at = (const char *)(info->dlpi_addr + p->p_vaddr), *end = at + p->p_memsz;
        while (at < end) {
            const ElfW(Nhdr) *n = (const void *)at;
            look_at_note(n, user);
            at += sizeof *n + (n->n_namesz + 3) / 4 * 4 + (n->n_descsz + 3) / 4 * 4;
        }
    }
    return 1; /* the program is the first; that is all */
}

static void the_note_has_the_old_form(void **state)
{
    (void)state;
    char want[200];
    struct notes notes = {0};
    dl_iterate_phdr(look_at_program, &notes);
    assert_int_equal(notes.count, 1);
    snprintf(want, sizeof want, "abi=1.%d;needs=0;name=abi_check;caps=runtime,poll,connector",
             AIODUCT_ABI_MINOR);
    assert_string_equal(notes.text, want);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"members of each version are what and where they were",
         members_are_what_and_where_they_were, NULL, NULL, NULL},
        {"new members are recorded in a frozen copy", new_members_are_recorded, NULL, NULL, NULL},
        {"the lists name every frozen member", the_lists_name_every_frozen_member, NULL, NULL,
         NULL},
        {"tables begin with their size", tables_begin_with_their_size, NULL, NULL, NULL},
        {"numbers are what they were", numbers_are_what_they_were, NULL, NULL, NULL},
        {"interface ids are what they were", interface_ids_are_what_they_were, NULL, NULL, NULL},
        {"the descriptor is exported under its name", the_descriptor_is_exported_under_its_name,
         NULL, NULL, NULL},
        {"the note has the old form", the_note_has_the_old_form, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, NULL, NULL);
}
