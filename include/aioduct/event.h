/* SPDX-License-Identifier: MIT */
/**
 * aioduct/event.h - what goes on inside a client, as it happens: for tracing, metrics and tests.
 *
 * One callback a client (aioduct_client_options.on_event) hears of every connection and every
 * exchange. Without it an event costs one comparison.
 */
#ifndef AIODUCT_EVENT_H
#define AIODUCT_EVENT_H

#include <aioduct/error.h>
#include <aioduct/export.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aioduct_exchange;

/** What happened. Behind each: the members of struct aioduct_event that it has, beyond at_ns and
 * either connection, host and port, or exchange and user. */
enum aioduct_event_kind {
    /* ---- of a connection ---- */
    AIODUCT_EVENT_DIAL = 1,       /**< it is being opened */
    AIODUCT_EVENT_RESOLVED,       /**< addresses are known: count; again if the other family's come
                                       while attempts go on */
    AIODUCT_EVENT_CONNECT,        /**< an attempt at one of them began: address, address_port */
    AIODUCT_EVENT_CONNECT_FAILED, /**< that attempt failed, others may go on: address, code */
    AIODUCT_EVENT_CONNECTED,      /**< an attempt won: address, address_port */
    AIODUCT_EVENT_SECURED,        /**< TLS handshake done: tls_version, tls_cipher, tls_resumed */
    AIODUCT_EVENT_OPENED,         /**< ready for requests: protocol */
    AIODUCT_EVENT_OPEN_FAILED,    /**< never will be: error */
    AIODUCT_EVENT_GOAWAY,         /**< the server takes no new requests on it: code, text */
    AIODUCT_EVENT_CLOSED,         /**< over: reason, count of responses that it brought */

    /* ---- of an exchange ---- */
    AIODUCT_EVENT_STARTED, /**< submitted, and now with its loop */
    AIODUCT_EVENT_PICKED,  /**< a connection was given to it: connection, reused */
    AIODUCT_EVENT_SENT,    /**< the last request byte is with the system */
    AIODUCT_EVENT_INTERIM, /**< a 1xx response: status */
    AIODUCT_EVENT_HEAD,    /**< the final head: status */
    AIODUCT_EVENT_REPLAY,  /**< it is sent again: error says why, count how often by now */
    AIODUCT_EVENT_DONE     /**< just before on_done: status (0: none came), error */
};

/** Why a connection ended. */
enum aioduct_close_reason {
    AIODUCT_CLOSE_NONE = 0,   /**< it has not ended */
    AIODUCT_CLOSE_PEER,       /**< the server closed it */
    AIODUCT_CLOSE_IDLE,       /**< idle_timeout_ms, or the server's own hint */
    AIODUCT_CLOSE_AGE,        /**< connection_age_ms */
    AIODUCT_CLOSE_LIMIT,      /**< too many idle ones */
    AIODUCT_CLOSE_FINAL,      /**< its last response said that no other follows */
    AIODUCT_CLOSE_CANCELLED,  /**< its exchange ended early, and the rest was not worth reading */
    AIODUCT_CLOSE_ERROR,      /**< input, output, TLS or the protocol failed */
    AIODUCT_CLOSE_UNASKED,    /**< bytes came that nobody had asked for */
    AIODUCT_CLOSE_OPENING,    /**< it could not be opened */
    AIODUCT_CLOSE_NOT_NEEDED, /**< nobody waited for it any more */
    AIODUCT_CLOSE_GOAWAY,     /**< the server asked for it, and its last exchange is over */
    AIODUCT_CLOSE_CLIENT      /**< the program asked for it: close_idle, drain, destroy */
};

/**
 * One event. Borrowed, with all it points to, until the callback returns. A member that the kind
 * does not have is 0, or "" if it is a text.
 */
struct aioduct_event {
    size_t size;                  /**< of this struct, as the library knows it */
    enum aioduct_event_kind kind; /**< what happened: says which members there are */
    uint64_t at_ns;               /**< monotonic clock, of the loop's turn */
    uint64_t connection;          /**< its number, unique in the process; 0: none */
    const char *host;             /**< whom the connection is for, as in the URL */
    int port;                     /**< its port, as in the URL */

    struct aioduct_exchange *exchange; /**< NULL: of no exchange */
    void *user;                        /**< what was given to submit with it */

    const char *address;     /**< numeric, or "unix:/path"; "" where a connector needs none */
    int address_port;        /**< port that goes with it */
    const char *protocol;    /**< "http/1.1" */
    const char *tls_version; /**< "TLS1.3" */
    const char *tls_cipher;  /**< "AES-256-GCM" */
    int tls_resumed;         /**< 1: an earlier session was taken up again */
    int reused;              /**< 1: the connection had served before */
    int status;              /**< of a response, 100 to 999; 0: none came */
    unsigned count;          /**< of addresses, of responses or of sendings: see the kind */
    int code;                /**< negative: as of errors; GOAWAY: the peer's, 0 or more */
    enum aioduct_close_reason reason;  /**< why a connection ended */
    const char *text;                  /**< for people; control bytes are escaped */
    const struct aioduct_error *error; /**< NULL: none; code 0: success */
};

/**
 * Thread:  loop thread of the exchange or connection; with several workers several at a time
 * Calls:   all that is legal in callbacks of exchanges is legal here, on any exchange of the
 *          client: submit, cancel, pause, resume, release, destroy. What it asks for is done after
 *          the event, by the loop. Blocking calls and turns give AIODUCT_E_NESTED.
 * When:    at any place in the engine: also inside a call of the program's on the loop's thread, a
 *          submit or cancel in a callback say. Locks that are held around such calls must not be
 *          taken here.
 */
typedef void (*aioduct_event_fn)(const struct aioduct_event *event, void *user);

/** "dial", "resolved", ... Static; never NULL. Thread: any. */
AIODUCT_API const char *aioduct_event_name(enum aioduct_event_kind kind);
/** "peer", "idle", ... Static; never NULL. Thread: any. */
AIODUCT_API const char *aioduct_close_reason_name(enum aioduct_close_reason reason);

#ifdef __cplusplus
}
#endif

#endif /* AIODUCT_EVENT_H */
