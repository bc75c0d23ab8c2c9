/* SPDX-License-Identifier: MIT */
/* peer_inside.h - what the two halves of a peer share. */
#ifndef TESTS_SUPPORT_PEER_INSIDE_H
#define TESTS_SUPPORT_PEER_INSIDE_H

#include "peer.h"

#include <gnutls/gnutls.h>
#include <pthread.h>

#define PEER_BUFFER_BYTES (64u * 1024u)

struct peer_conn {
    struct peer *peer;
    struct peer_conn *next;
    pthread_t thread;
    int index;
    int fd; /* -1: ended; changed under the peer's lock, which peer_stop takes to shut it down */
    gnutls_session_t tls;     /* NULL: clear text */
    struct peer_request last; /* texts belong to the peer */
    bool ended;               /* the play has returned */
    bool saw_close_notify;
    size_t start, count; /* what was received and not used: bytes[start .. start + count] */
    char bytes[PEER_BUFFER_BYTES];
};

bool peer_stopping(struct peer *peer);
/* Keep @request; its texts are the peer's from then on if true. */
bool peer_note_request(struct peer *peer, struct peer_request *request);
/* Close the connection's descriptor. */
void peer_forget_fd(struct peer_conn *conn);

#endif
