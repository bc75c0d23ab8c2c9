/* SPDX-License-Identifier: MIT */
/**
 * case.h - what a case starts from: an open rig, a listener, and a record of what else the case has
 * opened, so that what is left at its end is the plugin's.
 */
#ifndef CT_CASE_H
#define CT_CASE_H

#include "check.h"
#include "host.h"
#include "pattern.h"
#include "peer.h"
#include "proc.h"
#include "settings.h"
#include "suite.h"

enum { CT_FDS_MAX = 256 };

struct ct_case {
    struct ct_rig rig;
    struct ct_listener listener;
    struct ct_peer *peers;
    int fds[CT_FDS_MAX];
    unsigned fd_count;
    unsigned fds_before;
    unsigned threads_before;
    struct ct_signals signals_before; /* the first open too may change nothing of them */
};

/* Run one case in this process: load what it starts from, set up, run, tear down. Does not return:
 * the verdict is in the report. */
_Noreturn void ct_case_run(const struct ct_instance *instance, const struct ct_target *plugin,
                           const struct ct_target *runtime);

/* Listen and open the rig: what a case from CT_FROM_RIG starts with. */
void ct_case_open(struct ct_case *c);

/* The targets of this process, for cases that look at the file or load it themselves. */
const struct ct_target *ct_case_plugin(void);
const struct ct_target *ct_case_runtime(void);

/* Is the descriptor the case's own from now on; -> @fd */
int ct_keep_fd(struct ct_case *c, int fd);
/* Close a kept one before the end of the case. */
void ct_drop_fd(struct ct_case *c, int fd);
/* As ct_drop_fd, with a reset for the other side. */
void ct_drop_fd_by_reset(struct ct_case *c, int fd);
struct ct_peer *ct_start(struct ct_case *c, void (*run)(struct ct_peer *peer), int fd,
                         uint64_t seed, uint64_t bytes);

/* ---- what most stream cases begin with ---- */

/* A stream under way to @listener. */
struct ct_stream *ct_dial_to(struct ct_case *c, const struct ct_listener *listener);
/* A connected stream and the other end (kept); without @peer_fd it is left to be accepted. */
struct ct_stream *ct_dial(struct ct_case *c, int *peer_fd);
/* How the connect ends, however the runtime says it: 0 or negative. */
int ct_dial_result(struct ct_case *c, struct ct_stream *stream,
                   const struct aioduct_socket_config *config);
void ct_close_and_wait(struct ct_stream *stream);

/* Conditions for ct_until; @arg is a stream. */
bool ct_is_connect_done(void *arg);
bool ct_is_recv_done(void *arg);
bool ct_is_send_done(void *arg);
bool ct_is_shutdown_done(void *arg);
bool ct_is_closed(void *arg);
bool ct_has_data(void *arg);

/* Send what does not fit: as much of the pattern as keeps the answer PENDING. @at: how much of the
 * pattern was sent before; moved on. The bytes are static. */
void ct_send_until_pending(struct ct_stream *stream, uint64_t seed, uint64_t *at);

#endif
