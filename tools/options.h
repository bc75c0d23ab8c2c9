/* SPDX-License-Identifier: MIT */
/** The transfer command's options: curl's names and meaning, in one struct. */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

/* A growing list of strings, NULL at the end; the strings are borrowed or owned by the list's user.
 */
struct strings {
    const char **items;
    size_t count;
};

struct options {
    struct strings urls;
    struct strings outputs; /* -o and -O in order: the i-th belongs to the i-th URL; "" is -O */
    struct strings uploads; /* -T: the i-th belongs to the i-th URL */
    const char *method;     /* -X; NULL: from the other options */
    struct strings headers; /* -H as given */
    char *data;             /* -d parts joined by & */
    size_t data_bytes;
    bool has_data;
    bool include_head;       /* -i */
    bool head_only;          /* -I */
    const char *dump_header; /* -D */
    bool silent, show_error; /* -s, -S */
    bool verbose;            /* -v */
    bool show_secrets;       /* --show-secrets: -v prints credentials too */
    bool fail;               /* -f */
    bool insecure;           /* -k */
    const char *cacert, *cert, *key;
    char *write_out_file;   /* what -w @FILE held */
    char *cert_password;    /* from --cert FILE:PASSWORD or --pass */
    const char *user_agent; /* -A */
    const char *referer;    /* -e */
    char *user;             /* -u */
    int max_time_ms;        /* -m; 0: none */
    int connect_timeout_ms; /* --connect-timeout; 0: the default */
    struct strings resolve, connect_to;
    int family;            /* 0, 4, 6 */
    const char *write_out; /* -w */
    const char *interface; /* --interface */
    const char *runtime;   /* --runtime */
    bool http1_1;          /* --http1.1 */
    bool show_version, show_help;
};

/* Exit codes of a command line that is wrong are curl's: 2. A message has been printed to standard
 * error. */
int options_parse(int argc, char **argv, struct options *out);
void options_fini(struct options *options);
void options_help(void);

int strings_add(struct strings *list, const char *item);

#endif
