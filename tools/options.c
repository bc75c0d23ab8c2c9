/* SPDX-License-Identifier: MIT */
/* The command line, along the table of options. */
#include "options.h"

#include "exitcode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int option_error(const struct parser *p, const char *what)
{
    fprintf(stderr, "aioduct: option %s: %s\naioduct: try '%s'\n", p->option, what, p->set->help);
    return EXIT_USAGE;
}

int option_value_error(const struct parser *p, const char *value, const char *expected)
{
    char what[160];
    snprintf(what, sizeof what, "expected %.80s, not '%.60s'", expected, value);
    return option_error(p, what);
}

int strings_add(struct strings *list, const char *item)
{
    const char **grown = realloc(list->items, (list->count + 2) * sizeof *grown);
    if (grown == NULL) {
        return -ENOMEM;
    }
    grown[list->count++] = item;
    grown[list->count] = NULL;
    list->items = grown;
    return 0;
}

static int unknown(const struct parser *p)
{
    const char *guess = option_guess(p->set, p->option);
    return option_error(p, guess[0] != '\0' ? guess : "is unknown");
}

static int store(struct parser *p, const struct option_entry *entry, const char *value)
{
    char *at = (char *)p->options + entry->offset;
    switch (entry->kind) {
    case OPTION_FLAG:
        *(bool *)(void *)at = true;
        return 0;
    case OPTION_TEXT:
        *(const char **)(void *)at = value;
        return 0;
    case OPTION_LIST:
        return strings_add((struct strings *)(void *)at, value) < 0 ? EXIT_MEMORY : 0;
    case OPTION_CALL:
        break;
    }
    return entry->call(p, value);
}

static bool names(const char *const *list, const char *name)
{
    while (list != NULL && *list != NULL && strcmp(*list, name) != 0) {
        list++;
    }
    return list != NULL && *list != NULL;
}

static const struct option_entry *find_in(const struct option_entry *entries, char letter,
                                          const char *name)
{
    for (const struct option_entry *e = entries; e->name != NULL; e++) {
        if (e->group == NULL && (letter != 0 ? e->letter == letter : strcmp(e->name, name) == 0)) {
            return e;
        }
    }
    return NULL;
}

const struct option_entry *option_find(const struct option_set *set, char letter, const char *name)
{
    const struct option_entry *found = find_in(set->own, letter, name);
    if (found != NULL) {
        return found;
    }
    found = find_in(option_entries, letter, name);
    return found != NULL && names(set->shared, found->name) ? found : NULL;
}

/* "-sSo file", "-ofile": letters until one takes a value. *@i moves over a value in the next
 * argument. */
static int parse_letters(struct parser *p, int argc, char **argv, int *i)
{
    p->letter[0] = '-';
    p->option = p->letter;
    for (const char *c = argv[*i] + 1; *c != '\0'; c++) {
        const struct option_entry *entry = option_find(p->set, *c, NULL);
        p->letter[1] = *c;
        if (entry == NULL) {
            return unknown(p);
        }
        const char *value = NULL;
        if (entry->value != NULL) {
            value = c[1] != '\0' ? c + 1 : *i + 1 < argc ? argv[++*i] : NULL;
            if (value == NULL) {
                return option_error(p, "requires a value");
            }
        }
        int code = store(p, entry, value);
        if (code != 0 || value != NULL) {
            return code;
        }
    }
    return 0;
}

static int parse_long(struct parser *p, int argc, char **argv, int *i)
{
    p->option = argv[*i];
    const struct option_entry *entry = option_find(p->set, 0, argv[*i] + 2);
    if (entry == NULL) {
        return unknown(p);
    }
    const char *value = NULL;
    if (entry->value != NULL) {
        if (*i + 1 >= argc) {
            return option_error(p, "requires a value");
        }
        value = argv[++*i];
    }
    return store(p, entry, value);
}

static int check(const struct options *o)
{
    if (o->show_version || o->show_help) {
        return 0;
    }
    if (o->urls.count == 0) {
        fprintf(stderr, "aioduct: no URL given\naioduct: try 'aioduct --help'\n");
        return EXIT_USAGE;
    }
    if (o->connector != NULL && o->connector[0] == '\0') {
        fprintf(stderr, "aioduct: option --connector: '' is not the name of a connector\n"
                        "aioduct: hint: write none to use no connector\n");
        return EXIT_USAGE;
    }
    if (o->head_only && (o->has_data || o->uploads.count > 0)) {
        fprintf(stderr, "aioduct: -I cannot go with -d or -T: a HEAD request has no body\n");
        return EXIT_USAGE;
    }
    if (o->fail && o->fail_with_body) {
        fprintf(stderr, "aioduct: --fail and --fail-with-body exclude each other\n");
        return EXIT_USAGE;
    }
    if (o->has_data && o->uploads.count > 0) {
        fprintf(stderr, "aioduct: -d and -T both name a body: choose one\n");
        return EXIT_USAGE;
    }
    return 0;
}

bool options_have_header(const struct options *o, const char *name)
{
    size_t bytes = strlen(name);
    for (size_t i = 0; i < o->headers.count; i++) {
        const char *line = o->headers.items[i];
        if (strncasecmp(line, name, bytes) == 0 && (line[bytes] == ':' || line[bytes] == ';')) {
            return true;
        }
    }
    return false;
}

int options_parse_set(int argc, char **argv, const struct option_set *set, struct options *out)
{
    struct parser p = {.options = out, .set = set};
    bool only_urls = false;
    for (int i = 1; i < argc; i++) {
        int code;
        if (!only_urls && strcmp(argv[i], "--") == 0) {
            only_urls = true;
            continue;
        }
        if (only_urls || argv[i][0] != '-' || argv[i][1] == '\0') {
            code = strings_add(&out->urls, argv[i]) < 0 ? EXIT_MEMORY : 0;
        } else if (argv[i][1] == '-') {
            code = parse_long(&p, argc, argv, &i);
        } else {
            code = parse_letters(&p, argc, argv, &i);
        }
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

int options_parse(int argc, char **argv, struct options *out)
{
    static const struct option_set set = {.own = option_entries, .help = "aioduct --help"};
    *out = (struct options){0};
    int code = options_parse_set(argc, argv, &set, out);
    return code != 0 ? code : check(out);
}

void options_fini(struct options *o)
{
    free(o->urls.items);
    free(o->outputs.items);
    free(o->uploads.items);
    free(o->headers.items);
    for (size_t i = 0; i < o->header_files.count; i++) {
        free((char *)o->header_files.items[i]);
    }
    free(o->header_files.items);
    free(o->resolve.items);
    free(o->connect_to.items);
    free(o->data);
    free(o->user);
    free(o->write_out_file);
    free(o->cert_password);
    free((char *)o->cert);
}
