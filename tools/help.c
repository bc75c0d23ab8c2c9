/* SPDX-License-Identifier: MIT */
/* --help, and what to say of an option that is none. */
#include "options.h"

#include <stdio.h>
#include <string.h>

#define NAME_BYTES_MAX 40

/* What curl has and this command has not. */
static const struct option_absence curls[] = {
    {"-L", "redirects are not followed"},
    {"--location", "redirects are not followed"},
    {"--max-redirs", "redirects are not followed"},
    {"--retry", "nothing is tried again"},
    {"-C", "transfers are not resumed"},
    {"--continue-at", "transfers are not resumed"},
    {"-z", NULL},
    {"--time-cond", NULL},
    {"-x", "there are no proxies"},
    {"--proxy", "there are no proxies"},
    {"-b", "give -H 'Cookie: ...'"},
    {"--cookie", "give -H 'Cookie: ...'"},
    {"-c", NULL},
    {"--cookie-jar", NULL},
    {"-F", NULL},
    {"--form", NULL},
    {"-G", NULL},
    {"--get", NULL},
    {"-r", "give -H 'Range: bytes=...'"},
    {"--range", "give -H 'Range: bytes=...'"},
    {"--json", "give -d and -H 'Content-Type: application/json'"},
    {"--compressed", NULL},
    {"-n", NULL},
    {"--netrc", NULL},
    {"-J", NULL},
    {"--remote-header-name", NULL},
    {"-K", NULL},
    {"--config", NULL},
    {"--unix-socket", NULL},
    {"--digest", NULL},
    {"--data-urlencode", NULL},
    {"--http1.0", NULL},
    {"--http3", NULL},
    {NULL, NULL},
};

/* Levenshtein distance. */
static size_t distance(const char *a, const char *b)
{
    size_t row[NAME_BYTES_MAX + 1];
    size_t a_bytes = strlen(a), b_bytes = strlen(b);
    if (a_bytes > NAME_BYTES_MAX || b_bytes > NAME_BYTES_MAX) {
        return NAME_BYTES_MAX;
    }
    for (size_t j = 0; j <= b_bytes; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_bytes; i++) {
        size_t corner = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_bytes; j++) {
            size_t change = corner + (a[i - 1] != b[j - 1]);
            size_t either = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            corner = row[j];
            row[j] = change < either ? change : either;
        }
    }
    return row[b_bytes];
}

struct guess {
    const char *name;
    size_t distance;
};

static void look(const struct option_set *set, const struct option_entry *entries, const char *name,
                 struct guess *best)
{
    size_t bytes = strlen(name);
    for (const struct option_entry *e = entries; e->name != NULL; e++) {
        if (e->group != NULL || option_find(set, 0, e->name) != e) {
            continue;
        }
        size_t d = distance(name, e->name);
        if (bytes >= 3 && strncmp(e->name, name, bytes) == 0) {
            d = 1; /* the beginning of one */
        }
        if (d < best->distance) {
            *best = (struct guess){e->name, d};
        }
    }
}

static const char *nearest(const struct option_set *set, const char *name)
{
    /* further away nobody meant it */
    struct guess best = {.distance = strlen(name) < 6 ? 3 : 4};
    look(set, set->own, name, &best);
    look(set, option_entries, name, &best);
    return best.name;
}

static const struct option_absence *find_absence(const struct option_absence *list,
                                                 const char *option)
{
    while (list != NULL && list->option != NULL && strcmp(list->option, option) != 0) {
        list++;
    }
    return list != NULL && list->option != NULL ? list : NULL;
}

const char *option_guess(const struct option_set *set, const char *option)
{
    static char text[160];
    const struct option_absence *known = find_absence(set->absent, option);
    known = known != NULL ? known : find_absence(curls, option);
    if (known != NULL) {
        snprintf(text, sizeof text, "is not supported%s%s", known->why != NULL ? ": " : "",
                 known->why != NULL ? known->why : "");
        return text;
    }
    const char *best = strncmp(option, "--", 2) == 0 ? nearest(set, option + 2) : NULL;
    if (best == NULL) {
        return "";
    }
    snprintf(text, sizeof text, "is unknown; did you mean --%s?", best);
    return text;
}

void option_help_line(const struct option_entry *entry, char letter)
{
    char left[64];
    snprintf(left, sizeof left, "%s%c%s--%s %s", letter ? "-" : " ", letter ? letter : ' ',
             letter ? ", " : "  ", entry->name, entry->value != NULL ? entry->value : "");
    printf("  %-40s %s\n", left, entry->help);
}

void options_help(void)
{
    puts("usage: aioduct [options] URL...      transfer\n"
         "       aioduct bench [options] URL   how fast a server answers; aioduct bench --help\n"
         "       aioduct plugins [--json] [--runtime NAME]\n"
         "                                     which event runtimes there are, and which one is "
         "chosen\n"
         "       aioduct plugins inspect NAME|PATH\n"
         "                                     what a plugin file says of itself and what is wrong "
         "with it\n"
         "       aioduct plugins which [NAME|LIST]\n"
         "                                     which one is chosen and why\n"
         "       aioduct plugins check [OPTION...] NAME|PATH\n"
         "                                     does it keep the contract");
    for (const struct option_entry *e = option_entries; e->name != NULL; e++) {
        if (e->group != NULL) {
            printf("\n%s\n", e->group);
        } else {
            option_help_line(e, e->letter);
        }
    }
}
