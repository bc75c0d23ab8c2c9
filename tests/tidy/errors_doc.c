/* SPDX-License-Identifier: MIT */
/* Prints docs/ERRORS.md from the one list of codes; with a file, says (TAP) whether it is up to
 * date. */
#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *class_name(int class)
{
    static const char *const names[] = {"", "usage", "temporary", "peer", "local"};
    return names[class];
}

static void print_document(FILE *to)
{
    size_t count;
    const struct ad_error_entry *entries = ad_error_entries(&count);
    fputs(
        "# Error codes\n\n"
        "Made from the list in `core/base/error.c`. Codes from -1 to -4095 are `-errno`. The "
        "class\n"
        "says whose move it is: *usage*, the caller's; *temporary*, try again later; *peer*, the\n"
        "other side's; *local*, this machine's.\n\n"
        "| code | name | class | same again may help | text |\n|---|---|---|---|---|\n",
        to);
    for (size_t i = 0; i < count; i++) {
        fprintf(to, "| %d | `%s` | %s | %s | %s |\n", entries[i].code, entries[i].name,
                class_name(entries[i].class), entries[i].retry ? "yes" : "no", entries[i].text);
    }
}

int main(int argc, char **argv)
{
    char *made = NULL, *kept = NULL;
    size_t made_bytes, kept_bytes;
    if (argc < 2) {
        print_document(stdout);
        return 0;
    }
    FILE *memory = open_memstream(&made, &made_bytes);
    print_document(memory);
    fclose(memory);
    FILE *file = fopen(argv[1], "re");
    int same = file != NULL && getdelim(&kept, &kept_bytes, '\0', file) == (ssize_t)made_bytes &&
               memcmp(made, kept, made_bytes) == 0;
    printf("1..1\n%sok 1 - docs/ERRORS.md is made from today's list\n", same ? "" : "not ");
    if (!same) {
        printf("# ./dev docs makes it anew\n");
    }
    if (file != NULL) {
        fclose(file);
    }
    free(made);
    free(kept);
    return !same;
}
