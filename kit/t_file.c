/* SPDX-License-Identifier: MIT */
/* The file: what it exports and needs, how it is linked, what its note says, and that it loads. */
#include "case.h"
#include "file.h"
#include "proc.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct ct_file *read_file(void)
{
    static struct ct_file file;
    if (ct_case_plugin()->plugin != NULL) {
        ct_skip("the plugin is linked in: there is no file");
    }
    const char *wrong = ct_file_read(ct_case_plugin()->path, &file);
    if (wrong != NULL) {
        ct_fail("%s", wrong);
    }
    return &file;
}

static const char *file_name(void)
{
    const char *slash = strrchr(ct_case_plugin()->path, '/');
    return slash == NULL ? ct_case_plugin()->path : slash + 1;
}

static const struct aioduct_plugin *load(void)
{
    char why[CT_WHY_BYTES];
    if (ct_subject_load(ct_case_plugin(), ct_case_runtime(), why) < CT_LOADED_PLUGIN) {
        ct_skip("not looked at: %s", why);
    }
    return ct_subject()->plugin;
}

static void it_loads_and_has_its_entry(struct ct_case *c)
{
    (void)c;
    char why[CT_WHY_BYTES];
    if (ct_subject_load(ct_case_plugin(), ct_case_runtime(), why) == CT_LOADED_NOT) {
        ct_fail("%s", why);
    }
}

/* What its constructors do, and those of the libraries that it needs. */
static void loading_it_changes_nothing(struct ct_case *c)
{
    (void)c;
    struct ct_signals before, after;
    unsigned fds = ct_fd_count(), threads = ct_thread_count();
    ct_signals_now(&before);
    load();
    ct_signals_now(&after);
    assert_int_equal(ct_fd_count(), fds);
    assert_in_range(ct_thread_count_settled(threads), 0, threads);
    assert_memory_equal(&before, &after, sizeof before);
}

static void it_exports_its_entry_alone(struct ct_case *c)
{
    (void)c;
    const struct ct_file *file = read_file();
    if (!file->has_symbols) {
        ct_skip("the file has no section headers that tell its symbols");
    }
    bool has_entry = false;
    for (unsigned i = 0; i < file->export_count && i < CT_NAMES_MAX; i++) {
        if (strcmp(file->exports[i], "aioduct_plugin_entry_1") == 0) {
            has_entry = true;
        } else if (strncmp(file->exports[i], "aioduct_plugin_entry_", 21) != 0) {
            ct_fail("it exports %s too, of %u symbols", file->exports[i], file->export_count);
        }
    }
    assert_true(has_entry);
}

static void it_does_not_need_libaioduct(struct ct_case *c)
{
    (void)c;
    const struct ct_file *file = read_file();
    for (unsigned i = 0; i < file->needed_count; i++) {
        if (strncmp(file->needed[i], "libaioduct", 10) == 0) {
            ct_fail("it needs %s", file->needed[i]);
        }
    }
}

static void it_is_linked_by_the_rules(struct ct_case *c)
{
    (void)c;
    const struct ct_file *file = read_file();
    if (!file->has_relro) {
        ct_fail("its relocations stay writable: link it with -z relro");
    }
    if (!file->binds_now) {
        ct_fail("its symbols are bound late: link it with -z now");
    }
    if (file->has_executable_stack) {
        ct_fail("it wants an executable stack: link it with -z noexecstack");
    }
    if (file->has_text_relocations) {
        ct_fail("it has relocations in its code: compile it with -fPIC");
    }
    if (file->has_static_tls && !file->is_sanitized) {
        ct_fail("its thread-local storage is static: compile it with -fPIC, in the default TLS "
                "model");
    }
    if (file->run_path != NULL && strncmp(file->run_path, "$ORIGIN", 7) != 0 &&
        !file->is_sanitized) {
        ct_fail("its libraries are looked for in %s", file->run_path);
    }
    if (file->soname != NULL && strcmp(file->soname, file_name()) != 0) {
        ct_fail("its SONAME is %s, its file's name %s", file->soname, file_name());
    }
}

static void note_descriptor_and_file_have_one_name(struct ct_case *c)
{
    (void)c;
    const struct ct_file *file = read_file();
    char name[64], expected[96];
    if (file->note_count != 1) {
        ct_fail("it has %u notes of the owner aioduct", file->note_count);
    }
    if (!ct_note_value(file->note, "name", name, sizeof name)) {
        ct_fail("its note has no name: %s", file->note);
    }
    const struct aioduct_plugin *plugin = load();
    assert_string_equal(plugin->name, name);
    bool is_runtime = plugin->get_interface(AIODUCT_IFACE_RUNTIME) != NULL;
    snprintf(expected, sizeof expected, "libaioduct-%s-%s.so", is_runtime ? "rt" : "cx", name);
    assert_string_equal(file_name(), expected);
}

static bool has_word(const char *list, const char *word)
{
    size_t bytes = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += bytes) {
        if ((at == list || at[-1] == ',') && (at[bytes] == '\0' || at[bytes] == ',')) {
            return true;
        }
    }
    return false;
}

static void the_note_says_what_the_tables_are(struct ct_case *c)
{
    (void)c;
    static const struct {
        const char *word, *id;
    } words[] = {{"runtime", AIODUCT_IFACE_RUNTIME},
                 {"poll", AIODUCT_IFACE_POLL},
                 {"local", AIODUCT_IFACE_LOCAL},
                 {"connector", AIODUCT_IFACE_CONNECTOR}};
    const struct ct_file *file = read_file();
    char capabilities[128] = "", needs[16] = "", abi[16] = "";
    ct_note_value(file->note, "caps", capabilities, sizeof capabilities);
    ct_note_value(file->note, "needs", needs, sizeof needs);
    ct_note_value(file->note, "abi", abi, sizeof abi);
    const struct aioduct_plugin *plugin = load();
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        bool offered = plugin->get_interface(words[i].id) != NULL;
        if (offered != has_word(capabilities, words[i].word)) {
            ct_fail("the note says \"%s\", and %s is %s", capabilities, words[i].id,
                    offered ? "offered" : "not offered");
        }
    }
    char built[16];
    snprintf(built, sizeof built, "%u.%u", (unsigned)plugin->abi_major,
             (unsigned)plugin->abi_minor_built);
    assert_string_equal(abi, built);
    assert_int_equal(strtoul(needs, NULL, 10), plugin->abi_minor_needed);
}

static const struct ct_test cases[] = {
    CT_FILE_CASE(it_loads_and_has_its_entry, "PL-12"),
    CT_FILE_CASE(loading_it_changes_nothing, "PL-12"),
    CT_FILE_CASE(it_exports_its_entry_alone, "PL-13"),
    CT_FILE_CASE(it_does_not_need_libaioduct, "PL-13"),
    CT_FILE_CASE(note_descriptor_and_file_have_one_name, "PL-1"),
    CT_FILE_CASE(the_note_says_what_the_tables_are, "PL-14"),
    CT_FILE_CASE(it_is_linked_by_the_rules, "PL-15"),
};

CT_GROUP(file, 0)
