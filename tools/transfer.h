/* SPDX-License-Identifier: MIT */
/**
 * One transfer: request, outputs, callbacks, and what came of it.
 *
 * Life: transfer_begin -> callbacks (done is set by the last) -> transfer_end.
 */
#ifndef TOOLS_TRANSFER_H
#define TOOLS_TRANSFER_H

#include "data.h"
#include "output.h"
#include "pace.h"
#include "writeout.h"

struct options;
struct verbose;

struct transfer {
    const struct options *options;
    const struct verbose *verbose;
    struct aioduct_client *client;
    size_t index; /* of the URL on the command line */
    const char *url;
    const char *upload_name; /* the -T that belongs to this URL; NULL: none */

    struct aioduct_request *request;
    struct aioduct_exchange *exchange; /* NULL: not under way */
    bool done;                         /* on_done came, or it never began */
    int exit_code;

    struct output body, heads; /* heads: -D */
    struct upload upload;
    bool unseen; /* the library takes the body by itself, and says how far it is: */
    uint64_t unseen_bytes;
    struct pace down, up; /* --limit-rate */
    struct slowness slowness;
    bool paused;  /* by the rate of the way down */
    bool waiting; /* the body source gave nothing, by the rate of the way up */
    uint64_t moved;
    int64_t expected; /* Content-Length; -1: unknown */

    bool refused;   /* -f and the status says so */
    bool enough;    /* -I with a method that has a body: the head is all that is wanted */
    bool too_large; /* --max-filesize */
    bool too_slow;  /* -Y */
    bool abandoned; /* --fail-early, for another's sake */
    bool request_shown;
    struct transfer_record record;
};

/* Start the @index-th URL. Afterwards it is under way, or done with its exit code. */
void transfer_begin(struct transfer *t, struct aioduct_client *client,
                    const struct options *options, const struct verbose *verbose, size_t index);
/* What the clocks ask for. -> milliseconds until they ask again; -1: they do not */
int transfer_tick(struct transfer *t);
/* Note what is known of the exchange, and show its request once. */
void transfer_learn(struct transfer *t, const struct aioduct_exchange *exchange);
/* -w, outputs, memory. -> exit code */
int transfer_end(struct transfer *t);

void complain(const struct options *o, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* -> exit code */
int complain_error(const struct options *o, const struct aioduct_error *error);

/* ---- request.c ---- */

/* Make t->request. -> 0 or an exit code; a message has been printed. */
int transfer_make_request(struct transfer *t);
/* Headers and credentials of the options. -> likewise */
int request_add_fields(struct aioduct_request *request, const struct options *o);

#endif
