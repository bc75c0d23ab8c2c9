/* SPDX-License-Identifier: MIT */
/* A good plugin with one byte changed, or cut anywhere: it loads, or there is an error that names
 * the file. It never takes the process down. Each attempt is a child, because what loads stays. */
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

static int setup(void **state)
{
    if (loader_setup(state) != 0) {
        return 1;
    }
    snprintf(path, sizeof path, "%s/libaioduct-rt-good.so", loader_dir);
    good = loader_read(loader_built("good"), &good_bytes);
    return 0;
}

static int teardown(void **state)
{
    free(good);
    return loader_teardown(state);
}

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
        bool named = strstr(error.message, path) != NULL || strstr(error.message, "'good'") != NULL;
        bool sound = code == 0 ? plugin != NULL : error.code == code && plugin == NULL && named;
        if (!sound) {
            fprintf(stderr, "%d: %s\n", code, error.message);
        }
        _exit(!sound ? 2 : code == 0 ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static unsigned loaded, refused;

static void survives(const unsigned char *bytes, size_t count, size_t where, int how)
{
    loader_write(path, bytes, count, 0644);
    int answer = load_in_child();
    loaded += answer == 0;
    refused += answer == 1;
    if (answer > 1) {
        fail_msg("byte %zu, change %d: answer %d", where, how, answer);
    }
}

static void flip(size_t from, size_t count)
{
    static const unsigned char masks[] = {0xff, 0x01, 0x80, 0x04, 0x20};
    for (size_t i = from; i < from + count; i++) {
        for (size_t m = 0; m < sizeof masks; m++) {
            good[i] ^= masks[m];
            survives(good, good_bytes, i, masks[m]);
            good[i] ^= masks[m];
        }
    }
}

static void test_header(void **state)
{
    (void)state;
    loaded = refused = 0;
    flip(0, sizeof(ElfW(Ehdr)));
    printf("%u loaded, %u refused\n", loaded, refused);
    assert_true(loaded > 0 && refused > loaded);
}

static void test_note(void **state)
{
    (void)state;
    ElfW(Ehdr) header;
    loaded = refused = 0;
    memcpy(&header, good, sizeof header);
    const unsigned char *owner = memmem(good, good_bytes, "aioduct\0abi=", 12);
    assert_non_null(owner);
    size_t at = (size_t)(owner - good) - sizeof(ElfW(Nhdr));
    flip(at, sizeof(ElfW(Nhdr)) + 8 + strlen((const char *)owner + 8) + 1);
    printf("%u loaded, %u refused\n", loaded, refused);
    assert_true(refused > 0);
}

static void test_program_headers(void **state)
{
    (void)state;
    ElfW(Ehdr) header;
    memcpy(&header, good, sizeof header);
    for (size_t i = 0; i < header.e_phnum; i++) {
        /* What the loader itself reads of each: where in the file, how much, of which kind.
         * Addresses are the system's loader's, which believes them. */
        ElfW(Phdr) *p = (ElfW(Phdr) *)(void *)(good + header.e_phoff) + i;
        ElfW(Phdr) was = *p;
        static const uint64_t values[] = {1, 0x1000, UINT32_MAX, INT64_MAX, UINT64_MAX};
        for (size_t v = 0; v < sizeof values / sizeof values[0]; v++) {
            p->p_offset = (ElfW(Off))values[v];
            if (was.p_type == PT_NOTE) {
                survives(good, good_bytes, i, 1);
            }
            *p = was;
            p->p_filesz = (ElfW(Xword))(was.p_filesz + values[v]);
            survives(good, good_bytes, i, 2);
            *p = was;
        }
    }
}

static void test_cut(void **state)
{
    (void)state;
    ElfW(Ehdr) header;
    memcpy(&header, good, sizeof header);
    loaded = refused = 0;
    size_t step = good_bytes / 150 + 1;
    for (size_t count = 0; count < good_bytes; count += count < 200 ? 7 : step) {
        survives(good, count, count, 0);
    }
    printf("%u loaded, %u refused\n", loaded, refused);
    assert_true(refused > 0);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"any changed byte of the ELF header is survived", test_header, NULL, NULL, NULL},
        {"any changed byte of the note is survived", test_note, NULL, NULL, NULL},
        {"segments that lead out of the file are survived", test_program_headers, NULL, NULL, NULL},
        {"a file cut anywhere is survived", test_cut, NULL, NULL, NULL},
    };
    tap_limit_seconds(120);
    return TAP_RUN(cases, setup, teardown);
}
