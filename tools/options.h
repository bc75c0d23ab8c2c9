/* SPDX-License-Identifier: MIT */
/** The transfer command's options: curl's names and meaning, in one struct. */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
    struct strings headers; /* -H as given, one line each */
    struct strings header_files; /* -H @FILE: what they held; owned, `headers` points into it */
    char *data;                  /* -d parts joined by & */
    size_t data_bytes;
    bool has_data;
    bool include_head;       /* -i */
    bool head_only;          /* -I */
    const char *dump_header; /* -D */
    bool silent, show_error; /* -s, -S */
    bool verbose;            /* -v */
    bool show_secrets;       /* --show-secrets: -v prints credentials too */
    const char *trace;       /* --trace, --trace-ascii: "-" standard output, "%" standard error */
    bool trace_ascii;        /* without bytes in hexadecimal */
    bool trace_time;         /* --trace-time */
    bool fail;               /* -f */
    bool fail_with_body;     /* --fail-with-body */
    bool fail_early;         /* --fail-early */
    bool progress_bar;       /* -# */
    bool parallel;           /* -Z */
    bool parallel_immediate; /* --parallel-immediate */
    int parallel_max;        /* --parallel-max; 0: 50 */
    int expect_timeout_ms;   /* --expect100-timeout; 0: the default */
    int keepalive_s;         /* --keepalive-time; 0: the default */
    bool no_keepalive;       /* --no-keepalive */
    uint64_t rate;           /* --limit-rate, bytes a second; 0: none */
    uint64_t filesize_max;   /* --max-filesize; 0: none */
    uint64_t speed_limit;    /* -Y, bytes a second; 0: none */
    int speed_time_s;        /* -y */
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
    int family;                                /* 0, 4, 6 */
    const char *write_out;                     /* -w */
    const char *interface;                     /* --interface */
    const char *runtime;                       /* --runtime */
    const char *connector;                     /* --connector */
    const char *unix_socket, *abstract_socket; /* --unix-socket, --abstract-unix-socket */
    int version; /* AIODUCT_HTTP_*: --http1.1, --http2, --http2-prior-knowledge */
    bool show_version, show_help;
};

struct option_set;

/* Exit codes of a command line that is wrong are curl's: 2. A message has been printed to standard
 * error. */
int options_parse(int argc, char **argv, struct options *out);
/* The same along @set, whose entries may be members of a struct that begins with @out, all zero.
 * What goes with what is not checked. */
int options_parse_set(int argc, char **argv, const struct option_set *set, struct options *out);
/* Is that field given by -H, which stands instead of -A, -e, -u and the URL's userinfo? */
bool options_have_header(const struct options *o, const char *name);
void options_fini(struct options *options);
void options_help(void);

int strings_add(struct strings *list, const char *item);

/* ---- the table (option_table.c) ---- */

struct parser {
    struct options *options;
    const struct option_set *set;
    const char *option; /* as the user wrote it, for messages */
    char letter[3];     /* behind option, where it was one of several letters */
};

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_LIST, OPTION_CALL };

struct option_entry {
    const char *group; /* a heading of the help, and nothing else */
    char letter;       /* 0: long only */
    const char *name;
    enum option_kind kind;
    size_t offset; /* FLAG, TEXT, LIST: member of struct options */
    int (*call)(struct parser *p, const char *value);
    const char *value; /* name of the value in the help; NULL: takes none */
    const char *help;
};
/* A heading has an empty name; the table ends with a name of NULL. */
extern const struct option_entry option_entries[];

/* What a command has not, and why; NULL: because. */
struct option_absence {
    const char *option; /* letter or name, NULL at the end */
    const char *why;
};

/* What a command takes: its own, and those it shares with transfers. */
struct option_set {
    const struct option_entry *own;
    const char *const *shared;           /* names in option_entries, NULL at the end; NULL: none */
    const struct option_absence *absent; /* besides curl's; NULL: none */
    const char *help;                    /* the command that shows them */
};

/* The entry of that letter, or if it is 0 of that name; NULL: there is none. */
const struct option_entry *option_find(const struct option_set *set, char letter, const char *name);
void option_help_line(const struct option_entry *entry, char letter);

int option_error(const struct parser *p, const char *what); /* -> EXIT_USAGE */
/* Of a value that is not @expected. -> EXIT_USAGE */
int option_value_error(const struct parser *p, const char *value, const char *expected);
/* Of a value: decimal seconds with a fraction, a number from @min to @max. -> 0 or option_error */
int option_seconds(const struct parser *p, const char *text, int *out_ms);
int option_int(const struct parser *p, const char *text, int min, int max, int *out);
/* What to say of an option that is none: a name that looks like it, or why curl's is not here.
 * Borrowed until the next call; "" if nothing comes to mind. */
const char *option_guess(const struct option_set *set, const char *name);

#endif
