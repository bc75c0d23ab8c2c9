/* SPDX-License-Identifier: MIT */
/**
 * aioduct/request.h - what to ask: method, URL, headers, body. A request may be sent many times,
 * also at once and over several clients; its head is put into wire form once. The first submit
 * freezes it: setters then give -EBUSY.
 */
#ifndef AIODUCT_REQUEST_H
#define AIODUCT_REQUEST_H

#include <aioduct/error.h>
#include <aioduct/export.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aioduct_request;

/** Versions of HTTP that a request offers. */
enum {
    AIODUCT_HTTP_AUTO = 0,               /**< https: HTTP/2 or 1.1, as ALPN has it; http: 1.1 */
    AIODUCT_HTTP_1_1 = 11,               /**< nothing else is offered */
    AIODUCT_HTTP_2 = 20,                 /**< https only; nothing else is offered */
    AIODUCT_HTTP_2_PRIOR_KNOWLEDGE = 21, /**< the same, and on http without asking (h2c) */
};

/**
 * Make a request. @method is a token of RFC 9110 section 9.1, case-sensitive; @url absolute, http
 * or https, its userinfo becomes an Authorization header (Basic), its fragment is not sent. Thread:
 * any; a request is used by one thread at a time until it is frozen Owns:    strings copied; *@out
 * returned owned Returns: 0 | -EINVAL (method) | AIODUCT_E_URL | AIODUCT_E_URL_SCHEME | -ENOMEM;
 * @error may be NULL
 */
AIODUCT_API int aioduct_request_create(const char *method, const char *url,
                                       struct aioduct_request **out, struct aioduct_error *error);
/** Drop the caller's reference; exchanges under way keep theirs. NULL does nothing. Thread: any. */
AIODUCT_API void aioduct_request_destroy(struct aioduct_request *request);

/**
 * Add a header field. Order and case of names are kept. CR, LF and NUL are refused (RFC 9110
 * section 5.5), as are Content-Length, Transfer-Encoding, Host and Connection values that
 * contradict the request. Removing "User-Agent" or "Accept", or setting it to "", suppresses the
 * default field; Host cannot be removed, and another is said by aioduct_request_authority. A
 * declared Content-Length or Transfer-Encoding is checked against the body whichever is set first,
 * and sent once. Owns:    strings copied Returns: 0 | -EINVAL (the name or value is not allowed) |
 * -EBUSY (frozen) | -ENOMEM
 * Thread:  any, one at a time for a request
 */
AIODUCT_API int aioduct_request_header_add(struct aioduct_request *request, const char *name,
                                           const char *value);
/**
 * Put one field in the place of all of that name. Otherwise as aioduct_request_header_add.
 * Thread:  any, one at a time for a request
 */
AIODUCT_API int aioduct_request_header_set(struct aioduct_request *request, const char *name,
                                           const char *value);
/**
 * Remove all fields of that name. Otherwise as aioduct_request_header_add.
 * Thread:  any, one at a time for a request
 */
AIODUCT_API int aioduct_request_header_remove(struct aioduct_request *request, const char *name);

/**
 * The name[:port] that Host (HTTP/1.1) or :authority (HTTP/2) says, instead of the URL's: for a
 * server's virtual hosts. Connection, SNI and certificate stay the URL's.
 * Thread:  any, one at a time for a request
 * Owns:    string copied
 * Returns: 0 | -EINVAL (not a host with or without a port) | -EBUSY (frozen) | -ENOMEM
 */
AIODUCT_API int aioduct_request_authority(struct aioduct_request *request, const char *authority);

/**
 * Add a field to the trailer section behind the body, which is sent in chunks on HTTP/1.1 then,
 * also if its length is known. A "Trailer" field announces the names. What frames, routes, modifies
 * or authenticates a request is refused (RFC 9110 section 6.5.1). Values that are known only when
 * the body was read: aioduct_exchange_trailer_add. Owns:    strings copied Returns: 0 | -EINVAL
 * (not allowed in trailers, or a Content-Length was declared) | -EBUSY (frozen) | -ENOMEM
 * Thread:  any, one at a time for a request
 */
AIODUCT_API int aioduct_request_trailer_add(struct aioduct_request *request, const char *name,
                                            const char *value);

/**
 * Set Authorization to Basic with these credentials (RFC 7617), instead of the URL's.
 * Thread:  any, one at a time for a request
 * Owns:    strings copied
 * Returns: 0 | -EINVAL (a colon in @user, or control bytes) | -EBUSY (frozen) | -ENOMEM
 */
AIODUCT_API int aioduct_request_basic_auth(struct aioduct_request *request, const char *user,
                                           const char *password);

/**
 * Send these bytes as the body, with Content-Length. May be sent again: replayable.
 * Thread:  any, one at a time for a request
 * Owns:    bytes copied
 * Returns: 0 | -EBUSY | -ENOMEM
 */
AIODUCT_API int aioduct_request_body_copy(struct aioduct_request *request, const void *bytes,
                                          size_t count);
/**
 * As aioduct_request_body_copy, without the copy.
 * Thread:  any, one at a time for a request
 * Owns:    @bytes borrowed until the request and every exchange of it are gone
 * Returns: 0 | -EBUSY | -ENOMEM
 */
AIODUCT_API int aioduct_request_body_borrow(struct aioduct_request *request, const void *bytes,
                                            size_t count);

/** Of a body's source: nothing now, aioduct_exchange_body_ready will be called. It is -EAGAIN. */
#define AIODUCT_BODY_WAIT (-11)
/** Of a body: how long it is turns out at its end. */
#define AIODUCT_LENGTH_UNKNOWN (-1)

/**
 * Send @length bytes of the regular file @fd from @offset on, with Content-Length;
 * AIODUCT_LENGTH_UNKNOWN: all that it has now. Read with pread, or sent as it is by the system
 * (sendfile), so that the descriptor's position does not matter; what is written into it meanwhile
 * may be sent or not. Replayable. A pipe, a device or a socket may make the loop wait: read one by
 * aioduct_request_body_pull or _push instead.
 * Thread:  any, one at a time for a request
 * Owns:    @fd borrowed until the request and every exchange of it are gone
 * Returns: 0 | -EINVAL (not a regular file, or it is shorter than that) | -EBUSY | -errno of fstat
 */
AIODUCT_API int aioduct_request_body_file(struct aioduct_request *request, int fd, int64_t offset,
                                          int64_t length);

/**
 * A body that is written while the exchange runs, by aioduct_exchange_write and
 * aioduct_exchange_write_end: @length bytes with Content-Length, or AIODUCT_LENGTH_UNKNOWN:
 * chunked. Cannot be sent again once some of it was sent. Returns: 0 | -EINVAL | -EBUSY
 * Thread:  any, one at a time for a request
 */
AIODUCT_API int aioduct_request_body_push(struct aioduct_request *request, int64_t length);

/**
 * A body that is read piece by piece. Callbacks run on the loop thread of the exchange.
 * struct aioduct_body_source body = {.size = sizeof body, .read = on_read, .user = &mine};
 */
struct aioduct_body_source {
    /** sizeof this struct, so that members may be appended later; 0 is -EINVAL. */
    size_t size;
    /** Put at most @capacity bytes into @buffer -> count; 0 at the end; AIODUCT_BODY_WAIT; other
     * negative: give up, the exchange fails with AIODUCT_E_BODY_SOURCE and os_code = -result. */
    int64_t (*read)(void *user, void *buffer, size_t capacity);
    /** Start again from the first byte, for a safe resend -> 0 or negative. NULL: the body
     * cannot be sent again. */
    int (*rewind)(void *user);
    /** The exchange is done with the source. NULL: not told. Once for each submit: before on_done,
     * and before on_head already if the answer refuses the body. */
    void (*finished)(void *user);
    void *user; /**< first argument of all of them */
};

/**
 * @length bytes from @source with Content-Length, or AIODUCT_LENGTH_UNKNOWN: chunked.
 * Thread:  any, one at a time for a request
 * Owns:    @source copied; what its user pointer names is borrowed until finished. Such a request
 * is submitted once at a time. Returns: 0 | -EINVAL | -EBUSY
 */
AIODUCT_API int aioduct_request_body_pull(struct aioduct_request *request,
                                          const struct aioduct_body_source *source, int64_t length);

/**
 * Put the body of a 2xx answer into @memory, on the loop's thread and without calling on_body; any
 * other answer's comes by on_body as always. All of it is there when on_done is called, and
 * aioduct_exchange_info says how much (body_bytes), of aioduct_client_fetch
 * aioduct_response_info(response)->body_bytes; after an error, the part that came. A body
 * larger than @capacity ends the exchange with AIODUCT_E_LIMIT: behind on_head, with nothing
 * written, if the head says so, else when the surplus comes. What is put there counts as released;
 * pause, rates and recv_bytes_max hold for it. What aioduct_client_fetch gives has no body then.
 * A large body in clear HTTP/1.1 may be received there by the system itself: behind the part that
 * came, as far as the body would reach, @memory is undefined. From on_done on nothing is written.
 * Such a request is submitted once at a time (-EBUSY), and not to make an exchange raw (-EINVAL by
 * submit). The last call of this and of aioduct_request_into_file counts.
 * Thread:  any, one at a time for a request
 * Owns:    @memory borrowed until the request and every exchange of it are gone; it is not touched
 *          outside of an exchange
 * Returns: 0 | -EINVAL (NULL) | -EBUSY (frozen)
 */
AIODUCT_API int aioduct_request_into_memory(struct aioduct_request *request, void *memory,
                                            size_t capacity);

/** Of a file: where its descriptor's position is, which moves. */
#define AIODUCT_OFFSET_CURRENT (-1)

/**
 * The same into the regular file @fd, from @offset on by pwrite, or at AIODUCT_OFFSET_CURRENT by
 * write. What it held behind the body stays. If it cannot be written the exchange ends with
 * AIODUCT_E_SINK and os_code. The loop waits for the writes, which a file system seldom makes it:
 * give a pipe or a device its bytes by on_body instead.
 * Thread:  any, one at a time for a request
 * Owns:    @fd borrowed until the request and every exchange of it are gone
 * Returns: 0 | -EINVAL (not a regular file, not open for writing, or O_APPEND with an offset) |
 * -EBUSY (frozen) | -errno of fstat
 */
AIODUCT_API int aioduct_request_into_file(struct aioduct_request *request, int fd, int64_t offset);

/**
 * With @on 1 the head says "Expect: 100-continue", and the body is sent when the server says 100,
 * or after expect_timeout_ms; not at all if it gives its answer first. After a 417 the request is
 * made once more without, if its body can be sent again. Without effect on a request without a
 * body. Returns: 0 | -EINVAL | -EBUSY (frozen)
 * Thread:  any, one at a time for a request
 */
AIODUCT_API int aioduct_request_expect_continue(struct aioduct_request *request, int on);

/**
 * Ask to speak another protocol on the connection, "websocket" say: the head gets "Upgrade:
 * @protocol" and "Connection: upgrade", over HTTP/1.1. If the server agrees, on_head sees status
 * 101 and the exchange is raw from there on:
 * - on_body gives the bytes that come, from the first one behind the head, with the same ledger of
 *   pause, AIODUCT_HOLD and release; called with 0 bytes, once, when the peer has ended its
 *   direction (with TLS, that ends both);
 * - the request's body, whatever its kind, is what goes out, as it is; its end ends our direction.
 *   A request without a body only receives;
 * - on_done comes when both directions have ended, or after a cancel; the connection is closed.
 * Read gaps are not timed. Any other answer is an ordinary one, and the body is not read.
 *
 * A request whose own version is AIODUCT_HTTP_2 or AIODUCT_HTTP_2_PRIOR_KNOWLEDGE asks as HTTP/2
 * does (Extended CONNECT, RFC 8441): the method is CONNECT, @protocol one name, and 2xx makes the
 * exchange raw. One stream of a shared connection is used up by it, not the connection: each
 * direction ends by itself, with TLS too (without a body ours ends behind the server's), and a
 * cancel is a reset. It is sent once the server has said that it takes that; a server that does not
 * is AIODUCT_E_UNSUPPORTED, with nothing sent.
 * Thread:  any, one at a time for a request
 * Owns:    string copied
 * Returns: 0 | -EINVAL (malformed, "h2c", or the method is CONNECT) | -EBUSY (frozen) | -ENOMEM
 */
AIODUCT_API int aioduct_request_upgrade(struct aioduct_request *request, const char *protocol);

/**
 * For a request with method CONNECT: the host:port that the server at the request's URL, a proxy,
 * is to connect to. With status 2xx the exchange is raw, as with aioduct_request_upgrade; over
 * HTTP/2, on a stream of its own, if the request's own version says so.
 * Thread:  any, one at a time for a request
 * Owns:    string copied
 * Returns: 0 | -EINVAL (no host:port, or another method) | -EBUSY (frozen) | -ENOMEM
 */
AIODUCT_API int aioduct_request_tunnel(struct aioduct_request *request, const char *target);

/**
 * AIODUCT_HTTP_*; AUTO, the default, is the client's option of that name. With
 * aioduct_request_upgrade and aioduct_request_tunnel AUTO means HTTP/1.1 whatever the client says.
 * A request with an Upgrade field of its own is never sent over HTTP/2: AUTO means HTTP/1.1 then
 * too, and submit refuses AIODUCT_HTTP_2 with -EINVAL. Requests that offer different versions share
 * no connection.
 * Thread:  any, one at a time for a request
 * Returns: 0 | -EINVAL | -EBUSY
 */
AIODUCT_API int aioduct_request_version(struct aioduct_request *request, int version);
/**
 * Connect to this host and port instead of the URL's, and instead of what the client's connect_to
 * says; its resolve rules are applied to what is given. URL, Host, SNI and the certificate's name
 * stay. @target is "host:port", a part left empty means the URL's, IPv6 in brackets; NULL: as the
 * URL says. Requests with different targets share no connection.
 * Thread:  any, one at a time for a request
 * Owns:    string copied
 * Returns: 0 | -EINVAL | -EBUSY (frozen) | -ENOMEM
 */
AIODUCT_API int aioduct_request_connect_to(struct aioduct_request *request, const char *target);
/**
 * Deadline of the whole exchange, instead of the client's; milliseconds; AIODUCT_NO_LIMIT: none.
 * Thread:  any, one at a time for a request
 * Returns: 0 | -EBUSY
 */
AIODUCT_API int aioduct_request_total_timeout_ms(struct aioduct_request *request, int timeout_ms);

/** Deadlines of one request, milliseconds. 0: the client's option of that name; AIODUCT_NO_LIMIT:
 * none. */
struct aioduct_request_timeouts {
    size_t size;      /**< of this struct, as the caller knows it */
    int connect_ms;   /**< name, TCP and TLS together */
    int acquire_ms;   /**< waiting for a connection */
    int head_ms;      /**< from the last request byte to the final head */
    int read_gap_ms;  /**< silence inside the response body */
    int write_gap_ms; /**< no progress inside the request body */
    int expect_ms;    /**< a body that was announced by Expect waits for a 100 */
    int total_ms;     /**< the whole exchange */
};

/**
 * All of them, instead of those set before.
 * Thread:  any, one at a time for a request
 * Owns:    copied
 * Returns: 0 | -EINVAL (names none) | -EBUSY
 */
AIODUCT_API int aioduct_request_timeouts(struct aioduct_request *request,
                                         const struct aioduct_request_timeouts *timeouts);

/**
 * Fewer than @bytes_per_s bytes a second, both ways together, for @seconds (0: 30) end the exchange
 * with AIODUCT_E_TIMEOUT, instead of what low_speed_bytes and low_speed_s of the client say;
 * AIODUCT_NO_LIMIT and 0: any speed will do; 0 and 0: as the client says. Holding back is no fault.
 * Thread:  any, one at a time for a request
 * Returns: 0 | -EINVAL (negative, or seconds without a speed) | -EBUSY
 */
AIODUCT_API int aioduct_request_low_speed(struct aioduct_request *request, int bytes_per_s,
                                          int seconds);

/**
 * At most so many bytes a second of the response body are delivered; 0: any. A quarter of a
 * second's bytes may go at once.
 * Thread:  any, one at a time for a request
 * Returns: 0 | -EINVAL (negative) | -EBUSY
 */
AIODUCT_API int aioduct_request_recv_rate_max(struct aioduct_request *request, int64_t bytes_per_s);
/** The same for bytes of the request body that are sent. Thread: any, one at a time for a
 * request. */
AIODUCT_API int aioduct_request_send_rate_max(struct aioduct_request *request, int64_t bytes_per_s);

/**
 * A response body of more bytes than this ends the exchange with AIODUCT_E_LIMIT: behind on_head if
 * the head says so, else when the surplus comes. 0: any size. -> 0 | -EINVAL (negative) | -EBUSY
 * Thread:  any, one at a time for a request
 */
AIODUCT_API int aioduct_request_recv_bytes_max(struct aioduct_request *request, int64_t bytes);

/** The URL as it is requested, without userinfo and fragment. Borrowed from @request. Thread: any.
 */
AIODUCT_API const char *aioduct_request_url(const struct aioduct_request *request);

#ifdef __cplusplus
}
#endif

#endif /* AIODUCT_REQUEST_H */
