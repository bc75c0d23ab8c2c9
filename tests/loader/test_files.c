/* SPDX-License-Identifier: MIT */
/* Files that are no plugins, files and directories that others may write, paths and names that are
 * wrong: what is refused before any of it is loaded. */
#include "support.h"

#include <elf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { NOBODY = 65534, STRANGER = 12345 };

/* A new, safe directory for one case. */
static const char *new_directory(void)
{
    static unsigned number;
    static char path[128];
    char name[32];
    snprintf(name, sizeof name, "place%u", number++);
    strcpy(path, loader_mkdir(name, 0755));
    return path;
}

static const char *plugin_in(const char *directory)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/libaioduct-rt-good.so", directory);
    return path;
}

/* Asking for "good" in @directory is refused so, and the message names the file (or @what). */
static void refused(const char *directory, int code, const char *what, const char *message,
                    const char *hint)
{
    struct loader_outcome got;
    loader_choose(&(struct loader_run){.option = "good", .path = directory}, &got);
    loader_expect(&got, code, what, hint);
    loader_expect_text(got.error.message, message);
}

static void loads(const char *directory)
{
    struct loader_outcome got;
    loader_choose(&(struct loader_run){.option = "good", .path = directory}, &got);
    loader_expect_chosen(&got, "good", plugin_in(directory));
}

/* ---- what is in the file ---- */

static void bytes_refused(const void *bytes, size_t count, const char *message)
{
    const char *directory = new_directory(), *path = plugin_in(directory);
    loader_write(path, bytes, count, 0644);
    refused(directory, AIODUCT_E_PLUGIN_INVALID, path, message, "");
}

static void test_not_elf(void **state)
{
    (void)state;
    const char *script = "INPUT(libgood.so)\n/* a linker script */\n";
    bytes_refused(script, strlen(script), "is not an aioduct plugin (not an ELF file); not loaded");
    bytes_refused("", 0, "is not an aioduct plugin (the file is empty); not loaded");
    bytes_refused("\x7f", 1, "(not an ELF file)");
    bytes_refused("\x7f"
                  "ELF",
                  4, "(the file is truncated)");
}

/* @change the good plugin's bytes. */
static void changed_refused(void (*change)(unsigned char *bytes, size_t *count),
                            const char *message)
{
    size_t count;
    unsigned char *bytes = loader_read(loader_built("good"), &count);
    change(bytes, &count);
    bytes_refused(bytes, count, message);
    free(bytes);
}

static void cut_in_header(unsigned char *bytes, size_t *count)
{
    (void)bytes;
    *count = 40;
}

static void cut_in_program_headers(unsigned char *bytes, size_t *count)
{
    (void)bytes;
    *count = 100;
}

static void cut_in_the_middle(unsigned char *bytes, size_t *count)
{
    (void)bytes;
    *count /= 4;
}

static void test_truncated(void **state)
{
    (void)state;
    changed_refused(cut_in_header, "(the file is truncated)");
    changed_refused(cut_in_program_headers, "(the file is truncated)");
    changed_refused(cut_in_the_middle, "(the file is truncated)");
}

static void make_arm(unsigned char *bytes, size_t *count)
{
    (void)count;
    bytes[EI_CLASS] = ELFCLASS32;
    bytes[18] = EM_ARM;
    bytes[19] = 0;
}

static void make_half(unsigned char *bytes, size_t *count)
{
    (void)count;
    bytes[EI_CLASS] = ELFCLASS32;
}

static void make_big_endian(unsigned char *bytes, size_t *count)
{
    (void)count;
    bytes[EI_DATA] = ELFDATA2MSB;
    bytes[18] = EM_PPC64 >> 8;
    bytes[19] = EM_PPC64 & 0xff;
}

static void make_unknown(unsigned char *bytes, size_t *count)
{
    (void)count;
    bytes[18] = 0x39;
    bytes[19] = 0x30;
}

static void make_program(unsigned char *bytes, size_t *count)
{
    (void)count;
    bytes[16] = ET_EXEC;
}

/* The length of the note's text, which comes 8 bytes before its owner's name. */
static void make_note_too_long(unsigned char *bytes, size_t *count)
{
    unsigned char *owner = memmem(bytes, *count, "aioduct\0abi=", 12);
    assert_non_null(owner);
    owner[-6] = 0x01; /* 64 KiB more than there is */
}

static void test_note_too_long(void **state)
{
    (void)state;
    changed_refused(make_note_too_long, "(no .note.aioduct); not loaded");
}

static void test_architecture(void **state)
{
    (void)state;
#if defined(__x86_64__)
    changed_refused(make_arm, "is 32-bit ARM; this process is x86-64");
    changed_refused(make_half, "is 32-bit x86-64; this process is 64-bit x86-64");
    changed_refused(make_big_endian,
                    "is 64-bit PowerPC64 of the other byte order; this process is x86-64");
    changed_refused(make_unknown, "is 64-bit machine 12345; this process is x86-64");
#else
    changed_refused(make_unknown, "machine 12345; this process is ");
    (void)make_arm;
    (void)make_half;
    (void)make_big_endian;
#endif
    changed_refused(make_program, "(not a shared object)");
}

static void test_system_library(void **state)
{
    (void)state;
    const char *directory = new_directory(), *path = plugin_in(directory);
    assert_int_equal(symlink("/proc/self/exe", path), 0);
    refused(directory, AIODUCT_E_PLUGIN_INVALID, path, "(no .note.aioduct); not loaded", "");
}

/* ---- what kind of file ---- */

static void test_kinds(void **state)
{
    (void)state;
    const char *directory = new_directory(), *path = plugin_in(directory);
    assert_int_equal(mkdir(path, 0755), 0);
    refused(directory, AIODUCT_E_PLUGIN_INVALID, path, "is a directory, not a plugin file", "");

    directory = new_directory();
    path = plugin_in(directory);
    assert_int_equal(mkfifo(path, 0644), 0);
    refused(directory, AIODUCT_E_PLUGIN_INVALID, path, "is a FIFO, not a plugin file", "");

    directory = new_directory();
    path = plugin_in(directory);
    assert_int_equal(symlink("/dev/null", path), 0);
    refused(directory, AIODUCT_E_PLUGIN_INVALID, path, "is a device, not a plugin file", "");

    directory = new_directory();
    path = plugin_in(directory);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(strlen(path) < sizeof address.sun_path);
    strcpy(address.sun_path, path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    refused(directory, AIODUCT_E_PLUGIN_INVALID, path, "is a socket, not a plugin file", "");
    close(fd);
}

static void test_links(void **state)
{
    (void)state;
    const char *directory = new_directory(), *path = plugin_in(directory);
    assert_int_equal(symlink("nowhere.so", path), 0);
    refused(directory, AIODUCT_E_PLUGIN_INVALID, path, "is a symbolic link that leads nowhere",
            "Remove the link");

    directory = new_directory();
    path = plugin_in(directory);
    assert_int_equal(symlink(path, path), 0);
    refused(directory, AIODUCT_E_PLUGIN_INVALID, path, "is a symbolic link that leads nowhere",
            "Remove the link");

    /* A link that leads to a plugin is a plugin. */
    char target[256];
    strcpy(target, loader_install("good", loader_dir));
    directory = new_directory();
    assert_int_equal(symlink(target, plugin_in(directory)), 0);
    loads(directory);
}

/* ---- who may write it ---- */

static const char fix[] = "not writable by others (chmod go-w)";

static void test_world_writable(void **state)
{
    (void)state;
    char message[400], directory[128];
    strcpy(directory, new_directory());
    loader_install("good", directory);
    loads(directory);
    assert_int_equal(chmod(directory, 01777), 0);
    snprintf(message, sizeof message,
             "refusing %s: world-writable (it holds libaioduct-rt-good.so)", directory);
    refused(directory, AIODUCT_E_PLUGIN_UNSAFE, message, message, fix);

    assert_int_equal(chmod(directory, 0755), 0);
    assert_int_equal(chmod(plugin_in(directory), 0646), 0);
    snprintf(message, sizeof message, "refusing %s: world-writable", plugin_in(directory));
    refused(directory, AIODUCT_E_PLUGIN_UNSAFE, message, message, fix);
}

static void test_link_target(void **state)
{
    (void)state;
    char target[256], open_directory[128];
    strcpy(open_directory, new_directory());
    strcpy(target, loader_install("good", open_directory));
    assert_int_equal(chmod(open_directory, 0777), 0);
    const char *directory = new_directory();
    assert_int_equal(symlink(target, plugin_in(directory)), 0);
    refused(directory, AIODUCT_E_PLUGIN_UNSAFE, open_directory, ": world-writable", fix);
}

/* As a user that is not root, who owns the file. */
static void test_group_writable(void **state)
{
    (void)state;
    uid_t user = getuid() == 0 ? NOBODY : 0;
    const char *directory = new_directory(), *path = loader_install("good", directory);
    struct loader_run run = {.option = "good", .path = directory, .user = user};
    struct loader_outcome got;
    if (user != 0) {
        assert_int_equal(chmod(directory, 0775), 0); /* root's: its group is root's business */
        assert_int_equal(chmod(path, 0664), 0);
        loader_choose(&run, &got);
        loader_expect_chosen(&got, "good", path);
        assert_int_equal(chown(directory, user, user), 0);
        assert_int_equal(chown(path, user, user), 0);
        assert_int_equal(chmod(directory, 0755), 0);
    }
    assert_int_equal(chmod(path, 0664), 0);
    loader_choose(&run, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_UNSAFE, path, fix);
    loader_expect_text(got.error.message, ": group-writable");

    assert_int_equal(chmod(path, 0644), 0);
    loader_choose(&run, &got);
    loader_expect_chosen(&got, "good", path);

    assert_int_equal(chmod(directory, 0775), 0);
    loader_choose(&run, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_UNSAFE, directory, fix);
    loader_expect_text(got.error.message, ": group-writable (it holds");
}

static void need_root(void)
{
    if (geteuid() != 0) {
        tap_skip("only root can give files away");
    }
}

static void test_owner(void **state)
{
    (void)state;
    need_root();
    const char *directory = new_directory(), *path = loader_install("good", directory);
    assert_int_equal(chown(path, STRANGER, STRANGER), 0);
    refused(directory, AIODUCT_E_PLUGIN_UNSAFE, path,
            ": owned by user 12345, neither root nor the user of this process", "owned by root");
    assert_int_equal(chown(path, 0, 0), 0);
    assert_int_equal(chown(directory, STRANGER, STRANGER), 0);
    refused(directory, AIODUCT_E_PLUGIN_UNSAFE, directory, ": owned by user 12345",
            "owned by root");
}

static void test_own_and_roots(void **state)
{
    (void)state;
    need_root();
    struct loader_outcome got;
    const char *directory = new_directory(), *path = loader_install("good", directory);
    struct loader_run run = {.option = "good", .path = directory, .user = STRANGER};
    loader_choose(&run, &got); /* root's file, another's process */
    loader_expect_chosen(&got, "good", path);
    assert_int_equal(chown(path, STRANGER, STRANGER), 0);
    loader_choose(&run, &got); /* its own */
    loader_expect_chosen(&got, "good", path);
    run.user = NOBODY;
    loader_choose(&run, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_UNSAFE, path, "");
}

static void test_named_by_program(void **state)
{
    (void)state;
    struct loader_outcome got;
    const char *directory = new_directory(), *path = loader_install("good", directory);
    assert_int_equal(chmod(directory, 0777), 0);

    /* A path in the environment is nobody's word for the file's safety. */
    loader_choose(&(struct loader_run){.runtime = path}, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_UNSAFE, directory, fix);
    char config[300];
    snprintf(config, sizeof config, "runtime = %s\n", path);
    loader_choose(&(struct loader_run){.config = config}, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_UNSAFE, directory, fix);

    loader_choose(&(struct loader_run){.option = path}, &got);
    loader_expect_chosen(&got, "good", path);
    loader_expect_text(got.log, "1 ");
    loader_expect_text(got.log, "is world-writable; loading ");
}

static void test_unreadable(void **state)
{
    (void)state;
    struct loader_outcome got;
    const char *directory = new_directory(), *path = loader_install("good", directory);
    struct loader_run run = {
        .option = "good", .path = directory, .user = getuid() == 0 ? NOBODY : 0};
    assert_int_equal(chmod(path, 0), 0);
    loader_choose(&run, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_INVALID, path, "");
    loader_expect_text(got.error.message, "cannot read ");
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(chmod(directory, 0700), 0);
    if (getuid() == 0) { /* otherwise the directory is ours */
        loader_choose(&run, &got);
        loader_expect(&got, AIODUCT_E_PLUGIN_INVALID, path, "");
        loader_expect_text(got.error.message, "cannot look at ");
    }
}

/* ---- names and paths ---- */

static void test_relative_element(void **state)
{
    (void)state;
    struct loader_outcome got;
    char list[400];
    static const char *const wrong[] = {"plugins", "./plugins", "~/plugins", "."};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char want[200];
        snprintf(want, sizeof want, "AIODUCT_PLUGIN_PATH: '%s' is not an absolute path", wrong[i]);
        snprintf(list, sizeof list, "%s:%s:/usr", loader_dir, wrong[i]);
        /* Also when a runtime is asked for that is found without looking. */
        loader_choose(&(struct loader_run){.option = i % 2 ? "epoll" : "good", .path = list}, &got);
        loader_expect(&got, AIODUCT_E_PLUGIN_NAME, want, "absolute directories");
    }
}

static void test_long_element(void **state)
{
    (void)state;
    struct loader_outcome got;
    char path[5000];
    memset(path, 'a', sizeof path - 1);
    path[sizeof path - 1] = '\0';
    path[0] = '/';
    loader_choose(&(struct loader_run){.option = "good", .path = path}, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_NAME, "is too long a path", "");
}

static void name_refused(const char *word, const char *why)
{
    struct loader_outcome got;
    char want[200];
    loader_choose(&(struct loader_run){.option = word, .path = loader_dir}, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_NAME, why, "[a-z0-9][a-z0-9_-]{0,31}");
    loader_expect_text(got.error.message, "option: ");
    if (word[0] != '\0') {
        loader_choose(&(struct loader_run){.runtime = word, .path = loader_dir}, &got);
        snprintf(want, sizeof want, "AIODUCT_RUNTIME: %s", why);
        loader_expect(&got, AIODUCT_E_PLUGIN_NAME, want, "[a-z0-9][a-z0-9_-]{0,31}");
    }
}

static void test_names(void **state)
{
    (void)state;
    name_refused("../good", "'../good' is a relative path");
    name_refused("X", "'X' is not the name of a runtime");
    name_refused("abcdefghijklmnopqrstuvwxyz0123456",
                 "'abcdefghijklmnopqrstuvwxyz0123456' is not the name of a runtime");
    name_refused("", "'' is not the name of a runtime");
    name_refused("good,", "'good,' has an empty element");
    name_refused("good;epoll", "'good;epoll' is not the name of a runtime");
    name_refused("libaioduct-rt-good.so", "'libaioduct-rt-good.so' is not the name of a runtime");
    name_refused("./libaioduct-rt-good.so", "'./libaioduct-rt-good.so' is a relative path");
    name_refused("/opt/good.so",
                 "'/opt/good.so' is not the path of a file called libaioduct-rt-<name>.so");
}

static void test_renamed(void **state)
{
    (void)state;
    struct loader_outcome got;
    const char *directory = new_directory();
    char path[256];
    loader_install("good", directory);
    snprintf(path, sizeof path, "%s/libaioduct-rt-better.so", directory);
    assert_int_equal(rename(plugin_in(directory), path), 0);
    loader_choose(&(struct loader_run){.option = "better", .path = directory}, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_INVALID, path, "libaioduct-rt-good.so");
    loader_expect_text(got.error.message,
                       "the names disagree: file libaioduct-rt-better.so, plugin 'good'");
}

static void test_not_found(void **state)
{
    (void)state;
    struct loader_outcome got;
    char want[500], list[200], first[64], second[64];
    strcpy(first, new_directory());
    strcpy(second, new_directory());
    loader_install("good", second);
    loader_write(loader_path("%s/libaioduct-rt-Bad.so", second + strlen(loader_dir) + 1), "", 0,
                 0644);
    snprintf(list, sizeof list, "%s:/no/such:%s", first, second);
    loader_choose(&(struct loader_run){.option = "libev", .path = list}, &got);
    snprintf(
        want, sizeof want,
        "runtime 'libev' not found. Tried: built in (no); %s/libaioduct-rt-libev.so (no such "
        "file); /no/such/libaioduct-rt-libev.so (no such directory); %s/libaioduct-rt-libev.so (no "
        "such file)",
        first, second);
    loader_expect(&got, AIODUCT_E_PLUGIN_NOT_FOUND, want,
                  "Install libaioduct-runtime-libev or set AIODUCT_PLUGIN_PATH.");
    loader_expect_text(got.error.message, " Known here: epoll, good.");

    loader_choose(&(struct loader_run){.option = "acme", .path = list}, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_NOT_FOUND, "runtime 'acme' not found",
                  "set AIODUCT_PLUGIN_PATH");

    loader_choose(&(struct loader_run){.option = "/no/such/libaioduct-rt-acme.so"}, &got);
    loader_expect(&got, AIODUCT_E_PLUGIN_NOT_FOUND,
                  "runtime plugin /no/such/libaioduct-rt-acme.so not found: no such file",
                  "Check the path");
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"a text, an empty file and a stub of a file are no plugins", test_not_elf, NULL, NULL,
         NULL},
        {"a file that was cut short is refused before it is mapped", test_truncated, NULL, NULL,
         NULL},
        {"a file for another machine is refused, naming both", test_architecture, NULL, NULL, NULL},
        {"a note that leads out of its segment is none", test_note_too_long, NULL, NULL, NULL},
        {"any other ELF file has no note and is not loaded", test_system_library, NULL, NULL, NULL},
        {"a directory, FIFO, device or socket is no plugin", test_kinds, NULL, NULL, NULL},
        {"a dangling link is an error, a sound one is followed", test_links, NULL, NULL, NULL},
        {"a world-writable directory or file is refused", test_world_writable, NULL, NULL, NULL},
        {"a link into a world-writable directory is refused", test_link_target, NULL, NULL, NULL},
        {"group-writable is refused unless root owns it", test_group_writable, NULL, NULL, NULL},
        {"a stranger's file or directory is refused", test_owner, NULL, NULL, NULL},
        {"a user's own files and root's are accepted", test_own_and_roots, NULL, NULL, NULL},
        {"a path that the program itself gives costs a warning only", test_named_by_program, NULL,
         NULL, NULL},
        {"a file that cannot be read says so", test_unreadable, NULL, NULL, NULL},
        {"a relative element of AIODUCT_PLUGIN_PATH is an error", test_relative_element, NULL, NULL,
         NULL},
        {"an element of AIODUCT_PLUGIN_PATH that is too long is an error", test_long_element, NULL,
         NULL, NULL},
        {"a malformed name never becomes a path", test_names, NULL, NULL, NULL},
        {"a renamed plugin is refused", test_renamed, NULL, NULL, NULL},
        {"not found says where it was looked for and what is there", test_not_found, NULL, NULL,
         NULL},
    };
    return TAP_RUN(cases, loader_setup, loader_teardown);
}
