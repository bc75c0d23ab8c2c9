/* SPDX-License-Identifier: MIT */
/* A main for a fuzz target: runs every file of a directory through it once, in the normal suite. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t count);

#define FILE_MAX 65536

static int run_file(const char *directory, const char *name)
{
    char path[4096];
    static uint8_t bytes[FILE_MAX];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return -1;
    }
    size_t count = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    return LLVMFuzzerTestOneInput(bytes, count);
}

static int is_sample(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    struct dirent **entries = NULL;
    int failed = 0;
    int count = argc == 2 ? scandir(argv[1], &entries, is_sample, alphasort) : -1;
    if (count <= 0) {
        fprintf(stderr, "usage: %s DIRECTORY (with at least one file)\n", argv[0]);
        return 2;
    }
    printf("1..%d\n", count);
    for (int i = 0; i < count; i++) {
        int code = run_file(argv[1], entries[i]->d_name);
        failed |= code != 0;
        printf("%s %d - %s\n", code == 0 ? "ok" : "not ok", i + 1, entries[i]->d_name);
        fflush(stdout);
        free(entries[i]);
    }
    free(entries);
    return failed;
}
