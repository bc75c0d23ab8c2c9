/* SPDX-License-Identifier: MIT */
/**
 * aioduct/exchange.h - one request under way and its response: by callbacks, or by one blocking
 * call.
 *
 * An exchange completes exactly once, by on_done, also after a cancel and when its client is
 * destroyed. Every public function is legal inside every callback.
 */
#ifndef AIODUCT_EXCHANGE_H
#define AIODUCT_EXCHANGE_H

#include <aioduct/client.h>
#include <aioduct/error.h>
#include <aioduct/export.h>
#include <aioduct/request.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aioduct_exchange;

/** One header field. Not NUL-terminated; names in the case that the peer sent. */
struct aioduct_header {
    const char *name;     /**< not NUL-terminated */
    const char *value;    /**< without blanks around it; not NUL-terminated */
    uint32_t name_bytes;  /**< bytes of @name */
    uint32_t value_bytes; /**< bytes of @value */
};

/** A response head, or a trailer section (status 0). Borrowed for the callback it is given to. */
struct aioduct_head {
    size_t size;                          /**< of this struct, as the library knows it */
    int status;                           /**< 100 to 999 */
    int version;                          /**< 10, 11 or 20 */
    const char *reason;                   /**< reason phrase, not NUL-terminated; may be empty */
    uint32_t reason_bytes;                /**< bytes of @reason */
    uint32_t header_count;                /**< fields in @headers */
    const struct aioduct_header *headers; /**< in the order in which they came */
    const char *raw; /**< the head as it came, up to and with the empty line; NULL where there is no
                        such text */
    uint32_t raw_bytes; /**< bytes of @raw */
};

/**
 * Find the first field called @name (ASCII case ignored).
 * Returns: its value with *@out_bytes set | NULL. Borrowed like @head. Thread: any.
 */
AIODUCT_API const char *aioduct_head_find(const struct aioduct_head *head, const char *name,
                                          uint32_t *out_bytes);

/**
 * How long a 408, 429 or 503 asks to wait: Retry-After, in seconds or as a date of any form (RFC
 * 9110 sections 10.2.3 and 5.6.7). A date counts from the response's own Date, or from @now_s (Unix
 * seconds) if it has none. Nothing is sent again because of it: that is for the caller to do.
 * Thread:  any
 * Returns: 0 with seconds in *@out_s, at most 366 days | -ENOENT (no such field) | -EINVAL
 */
AIODUCT_API int aioduct_head_retry_after(const struct aioduct_head *head, int64_t now_s,
                                         int64_t *out_s);

/** Nanoseconds since the exchange's loop took it, never falling from one line to the next; 0: that
 * phase did not happen (a reused connection resolves nothing). Of a request that was sent again,
 * those of the last time. */
struct aioduct_timings {
    size_t size;            /**< of this struct, as the library knows it */
    uint64_t dialled_ns;    /**< the connection that it got began to be opened */
    uint64_t resolved_ns;   /**< addresses known: the first attempt begins */
    uint64_t connected_ns;  /**< TCP connection made */
    uint64_t secured_ns;    /**< TLS handshake finished */
    uint64_t picked_ns;     /**< a connection was given to it: the end of all queueing */
    uint64_t sent_ns;       /**< last request byte given to the system */
    uint64_t first_byte_ns; /**< first response byte */
    uint64_t head_ns;       /**< final head complete */
    uint64_t end_ns;        /**< exchange complete */
};

/** What is known of an exchange; strings are borrowed until on_done returns (a response keeps its
 * own). */
struct aioduct_exchange_info {
    size_t size;               /**< of this struct, as the caller knows it */
    int reused;                /**< 1: on a connection that had served before */
    int tls_resumed;           /**< 1: an earlier TLS session was taken up again */
    const char *protocol;      /**< "http/1.1" or "h2"; "" before a connection was picked */
    const char *tls_version;   /**< "TLS1.3"; "" without TLS */
    const char *tls_cipher;    /**< "" without TLS */
    const char *peer_address;  /**< numeric, "unix:/path" or "unix:@name"; "" if unknown */
    const char *local_address; /**< numeric; "" if unknown */
    int peer_port;             /**< 0 if unknown */
    int local_port;            /**< 0 if unknown */
    /** As sent, with the empty line; over HTTP/2 a line "name: value" each, ":method" and its like
     * first. Not NUL-terminated; NULL before. */
    const char *request_head;
    uint32_t request_head_bytes;    /**< bytes of @request_head */
    uint64_t head_bytes;            /**< of response heads, interim ones too */
    uint64_t body_bytes;            /**< response body delivered */
    uint64_t upload_bytes;          /**< request body sent */
    struct aioduct_timings timings; /**< when each phase ended */
    int replays;                    /**< times that it was sent again */
    uint64_t connection;            /**< number of its connection, as in events; 0: none */
    uint64_t sent_bytes;            /**< with framing, before TLS; of the last sending */
    /** The same of what came, as far as the codec has come. */
    uint64_t received_bytes;
    /** Sent by its connection since it was opened, TLS included: what went over the wire. */
    uint64_t wire_sent_bytes;
    uint64_t wire_received_bytes; /**< the same, received */
};

/** on_body: I keep these bytes in view; aioduct_exchange_release gives the credit back. */
#define AIODUCT_HOLD 1

/** What the caller wants to hear; NULL members are not called. All on the loop thread of the
 * exchange. */
struct aioduct_callbacks {
    /** sizeof this struct, so that members may be appended later; 0 is -EINVAL. */
    size_t size;
    /** 1xx response; zero or more times before on_head. */
    void (*on_interim)(struct aioduct_exchange *exchange, const struct aioduct_head *head,
                       void *user);
    /** Final response head; at most once. Negative: end the exchange with AIODUCT_E_SINK. */
    int (*on_head)(struct aioduct_exchange *exchange, const struct aioduct_head *head, void *user);
    /** Body bytes, valid until this returns; none, once, at the peer's end of a raw exchange. 0:
     * consumed; AIODUCT_HOLD: counted against window_bytes until released; negative: end the
     * exchange with AIODUCT_E_SINK. */
    int (*on_body)(struct aioduct_exchange *exchange, const void *bytes, size_t count, void *user);
    /** Trailer section after the body; at most once. */
    void (*on_trailers)(struct aioduct_exchange *exchange, const struct aioduct_head *trailers,
                        void *user);
    /** Exactly once. @error->code 0: the response is complete. The exchange is gone when this
     * returns. */
    void (*on_done)(struct aioduct_exchange *exchange, const struct aioduct_error *error,
                    void *user);
    /** A body that is pushed has room again: aioduct_exchange_write had taken less than it was
     * given.
     */
    void (*on_writable)(struct aioduct_exchange *exchange, void *user);
};

/**
 * Start @request. Never blocks; the callbacks come later, on the loop.
 * Thread:   any with workers or a send binding, else the client's
 * Owns:     @callbacks copied; @request referenced until done; @user borrowed until on_done returns
 * Calls:    on_done exactly once if 0 was returned; never inside this call
 * Returns:  0 | -EINVAL (declared framing contradicts the body) | -EBUSY (a pull body already under
 * way) | -ENOMEM | AIODUCT_E_LIMIT (url_bytes_max) | AIODUCT_E_UNSUPPORTED (HTTP/2) |
 * AIODUCT_E_THREAD | AIODUCT_E_FORKED | AIODUCT_E_CLIENT_CLOSED. *@out (may be NULL) is borrowed
 * until on_done returns
 */
AIODUCT_API int aioduct_client_submit(struct aioduct_client *client,
                                      struct aioduct_request *request,
                                      const struct aioduct_callbacks *callbacks, void *user,
                                      struct aioduct_exchange **out);

/**
 * Start @request and wait until it is done. Callbacks as above, on this thread without workers;
 * on_done too. Returns: the exchange's code, or an error of submit; @error (may be NULL) has the
 * whole record
 */
AIODUCT_API int aioduct_client_perform(struct aioduct_client *client,
                                       struct aioduct_request *request,
                                       const struct aioduct_callbacks *callbacks, void *user,
                                       struct aioduct_error *error);

/* What these return, beside what is said at each: 0 | -EINVAL (NULL) | AIODUCT_E_THREAD (a local
 * client's, and not its thread) | AIODUCT_E_FORKED (the parent's). After an error nothing was done.
 */

/** End an exchange: on_done comes once, with -ECANCELED unless it was already complete. Thread: any
 * that may submit. */
AIODUCT_API int aioduct_exchange_cancel(struct aioduct_exchange *exchange);
/** Give back credit for @count bytes that on_body held. Thread: as cancel. -> 0 | -EINVAL (more
 * than is held) */
AIODUCT_API int aioduct_exchange_release(struct aioduct_exchange *exchange, size_t count);
/** Deliver no more body until resumed; on_done waits too unless it is an error. Thread: as cancel.
 */
AIODUCT_API int aioduct_exchange_pause(struct aioduct_exchange *exchange);
/** Deliver what was held back, and go on. Thread: as cancel. */
AIODUCT_API int aioduct_exchange_resume(struct aioduct_exchange *exchange);
/** The body source that said AIODUCT_BODY_WAIT has bytes, or its end. Thread: as cancel. */
AIODUCT_API int aioduct_exchange_body_ready(struct aioduct_exchange *exchange);
/**
 * Write bytes of a body that is pushed (aioduct_request_body_push). They are copied, at most 128
 * KiB of them wait to be sent; on_writable says when there is room after a write that was cut
 * short. Thread:  as cancel Returns: bytes taken, 0 to @count | -EINVAL (not a pushed body, or
 * ended) | -EPIPE (the server wants no more: its answer is final) | -ENOMEM | AIODUCT_E_THREAD |
 * AIODUCT_E_FORKED
 */
AIODUCT_API int64_t aioduct_exchange_write(struct aioduct_exchange *exchange, const void *bytes,
                                           size_t count);
/** The pushed body has no more bytes. Thread: as cancel. -> 0 | -EINVAL (not a pushed body, or
 * ended already) | AIODUCT_E_THREAD | AIODUCT_E_FORKED */
AIODUCT_API int aioduct_exchange_write_end(struct aioduct_exchange *exchange);
/**
 * Add a trailer behind the body that is being sent, a digest of it say; up to and in the call of
 * its source that gives the end. Only for bodies that are sent in chunks on HTTP/1.1: of unknown
 * length, or with an aioduct_request_trailer_add. Thread:   loop thread, inside a callback of
 * @exchange or of its body source Owns:     strings copied Returns:  0 | -EINVAL (not allowed in
 * trailers, not chunked, too late) | AIODUCT_E_THREAD | -ENOMEM
 */
AIODUCT_API int aioduct_exchange_trailer_add(struct aioduct_exchange *exchange, const char *name,
                                             const char *value);
/** Fill @info as far as its size reaches. Thread: loop thread, inside any callback of the exchange;
 * AIODUCT_E_THREAD while another thread drives that loop. */
AIODUCT_API int aioduct_exchange_info(const struct aioduct_exchange *exchange,
                                      struct aioduct_exchange_info *info);

/* ---- a response gathered in memory
 * ------------------------------------------------------------------------------ */

struct aioduct_response;

/**
 * Send @request and gather the response, at most collect_bytes_max of body. @client NULL: a client
 * of its own for this one call, with default options. Owns:    *@out returned owned; after an error
 * it is NULL, or holds the part that came (@error->partial) Returns: as aioduct_client_perform;
 * AIODUCT_E_LIMIT if the body is larger
 * Thread:  as aioduct_client_perform
 */
AIODUCT_API int aioduct_client_fetch(struct aioduct_client *client, struct aioduct_request *request,
                                     struct aioduct_response **out, struct aioduct_error *error);
/** GET @url; otherwise as aioduct_client_fetch. Thread: as aioduct_client_perform. */
AIODUCT_API int aioduct_get(struct aioduct_client *client, const char *url,
                            struct aioduct_response **out, struct aioduct_error *error);

/** Status of the final head, 100 to 999. Thread: any. */
AIODUCT_API int aioduct_response_status(const struct aioduct_response *response);
/**
 * First field of that name, NUL-terminated, or NULL. Borrowed from @response.
 * Thread:  any
 */
AIODUCT_API const char *aioduct_response_header(const struct aioduct_response *response,
                                                const char *name);
/** The head with all fields. Borrowed from @response. Thread: any. */
AIODUCT_API const struct aioduct_head *aioduct_response_head(
    const struct aioduct_response *response);
/**
 * Body bytes; a NUL follows that is not counted. Borrowed from @response.
 * Thread:  any
 */
AIODUCT_API const void *aioduct_response_body(const struct aioduct_response *response,
                                              size_t *out_count);
/** Connection, protocol and times. Borrowed from @response. Thread: any. */
AIODUCT_API const struct aioduct_exchange_info *aioduct_response_info(
    const struct aioduct_response *response);
/** Free a response, with all that was borrowed from it. NULL does nothing. Thread: any. */
AIODUCT_API void aioduct_response_destroy(struct aioduct_response *response);

#ifdef __cplusplus
}
#endif

#endif /* AIODUCT_EXCHANGE_H */
