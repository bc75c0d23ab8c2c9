/* SPDX-License-Identifier: MIT */
/**
 * aioduct/client.h - a client: a runtime, a pool of connections, limits and policies, frozen when
 * it is created.
 *
 * Ways to drive one. With `workers` at 0 the caller's own thread drives the client: inside a
 * blocking call, in aioduct_client_run, or turn by turn from a loop of its own. With `workers`
 * above 0 the client owns that many loop threads; any thread may submit, and callbacks run on a
 * worker: those of one exchange on one thread, which need not be the one that submitted it. With
 * `loop` the client lives in a loop of the application, which drives it (loop.h).
 *
 * Life: create -> submit, perform, fetch ... -> destroy. Requests (request.h) are apart from
 * clients and may be sent many times over several.
 */
#ifndef AIODUCT_CLIENT_H
#define AIODUCT_CLIENT_H

#include <aioduct/error.h>
#include <aioduct/event.h>
#include <aioduct/export.h>
#include <aioduct/loop.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aioduct_client;

/** Lifts a limit or switches a timeout off, where 0 means the default. */
#define AIODUCT_NO_LIMIT (-1)

/** Switches a policy off, where its option says so. */
#define AIODUCT_OFF (-2)

/** Which threads may submit; see aioduct_client_options.binding. */
enum aioduct_binding {
    AIODUCT_BINDING_AUTO = 0, /**< what the runtime and the worker count allow */
    AIODUCT_BINDING_SEND,     /**< any thread may submit: a poll runtime, or workers above 0 */
    AIODUCT_BINDING_LOCAL /**< only the creating thread; AIODUCT_E_THREAD from any other; workers
                               must be 0 */
};

/** Which addresses are dialled. */
enum aioduct_family {
    AIODUCT_FAMILY_ANY = 0,  /**< both, raced (RFC 8305) */
    AIODUCT_FAMILY_IPV4 = 4, /**< IPv4 alone */
    AIODUCT_FAMILY_IPV6 = 6  /**< IPv6 alone */
};

/** TCP options, all set before connect(2). Zero: the default said beside it. */
struct aioduct_socket_options {
    const char *local_address;  /**< numeric IPv4 or IPv6 address to bind to; NULL: any */
    const char *device;         /**< network interface (SO_BINDTODEVICE); NULL: any */
    int local_port_min;         /**< first port to bind to; 0: any */
    int local_port_max;         /**< last one; 0: local_port_min */
    int nodelay;                /**< 0: on; AIODUCT_NO_LIMIT: off */
    int keepalive_idle_s;       /**< 0: 60 s; AIODUCT_NO_LIMIT: no keepalive */
    int keepalive_interval_s;   /**< 0: 60 s */
    int keepalive_count;        /**< 0: the system's */
    int fast_open;              /**< 0: off; 1: on where the system can */
    unsigned user_timeout_ms;   /**< TCP_USER_TIMEOUT; 0: the system's */
    unsigned send_buffer_bytes; /**< SO_SNDBUF; 0: the system's */
    unsigned recv_buffer_bytes; /**< SO_RCVBUF; 0: the system's */
    unsigned mark;              /**< SO_MARK; 0: none */
    unsigned tos;               /**< IP_TOS or IPV6_TCLASS; 0: the system's */
};

/** Bits of aioduct_tls_options.flags. */
enum {
    AIODUCT_TLS_NO_VERIFY_CHAIN = 1, /**< accept any certificate chain: only for tests */
    AIODUCT_TLS_NO_VERIFY_NAME = 2,  /**< accept a certificate for another name: only for tests */
    AIODUCT_TLS_KEYLOG = 4, /**< append session secrets to the file named by SSLKEYLOGFILE */
    AIODUCT_TLS_ALLOW_TRUNCATION =
        8 /**< a close-delimited body may end without close_notify; flagged partial */
};

/**
 * How servers are verified, and who we are to them. What is named here is read by
 * aioduct_client_create, which fails if it cannot be used; the system's trust store is read when a
 * connection first needs it.
 */
struct aioduct_tls_options {
    unsigned flags;           /**< AIODUCT_TLS_* */
    const char *ca_file;      /**< PEM, replaces the system's trust store; NULL: the system's */
    const char *ca_dir;       /**< directory of PEM files, replaces the system's too; NULL: none */
    const char *cert_file;    /**< PEM client certificate chain; NULL: none */
    const char *key_file;     /**< PEM private key; NULL: in cert_file */
    const char *key_password; /**< of key_file; NULL: none */
    const char *priority;     /**< GnuTLS priority string; NULL: "NORMAL" with TLS 1.2 and 1.3 */
};

/**
 * Options of a client. Start from AIODUCT_CLIENT_OPTIONS_INIT; zero always means the documented
 * default, and AIODUCT_NO_LIMIT lifts a limit. Strings are copied by aioduct_client_create. A bad
 * value fails creation with -EINVAL and a message that names the option.
 */
struct aioduct_client_options {
    size_t size; /**< sizeof(struct aioduct_client_options) */

    /** Name, list, "auto" or absolute path; NULL: AIODUCT_RUNTIME, config file, automatic. */
    const char *runtime;
    /** NULL: AIODUCT_CONFIG, else the user's, else the system's; "": none. */
    const char *config_file;
    int workers; /**< 0: the config file's, else none: the caller's thread drives */
    /** Which threads may submit. AUTO is SEND with workers above 0 and on a poll runtime, else
     * LOCAL; asking for one that the runtime cannot give is AIODUCT_E_PLUGIN_CAPABILITY. */
    enum aioduct_binding binding;

    /* deadlines, milliseconds */
    int connect_timeout_ms; /**< 10,000: name, TCP, TLS and waiting for another attempt, together */
    int acquire_timeout_ms; /**< 30,000: waiting for a connection slot */
    int head_timeout_ms;    /**< 60,000: from the last request byte to the final head */
    int read_gap_timeout_ms;  /**< 60,000: silence inside a response body */
    int write_gap_timeout_ms; /**< 60,000: no progress inside a request body */
    int expect_timeout_ms;    /**< 1,000: a body that was announced by Expect waits for a 100 */
    int total_timeout_ms;     /**< none: the whole exchange */
    int low_speed_bytes;      /**< any: fewer bytes a second, both ways together, is too slow ... */
    int low_speed_s;          /**< 30: ... if it stays so for this long; holding back is no fault */
    int idle_timeout_ms;      /**< 90,000: an idle connection is closed */
    int connection_age_ms;    /**< 900,000: then a connection takes no new requests */

    /* limits */
    int head_bytes_max;        /**< 65,536: a response head */
    int head_fields_max;       /**< 256 */
    int interim_max;           /**< 16: 1xx responses before the final one */
    int trailer_bytes_max;     /**< 16,384 */
    int chunk_ext_max;         /**< 16,384: bytes of chunk extensions in a response */
    int url_bytes_max;         /**< 65,536 */
    int window_bytes;          /**< 1,048,576: delivered and not released, an exchange */
    int64_t collect_bytes_max; /**< 67,108,864: a body gathered in memory */
    int drain_bytes_max; /**< 65,536: rest of a dropped body that is read to keep a connection;
                                  AIODUCT_OFF:       none */
    /* With workers each has its part of the next three, rounded up, and one connection at least:
     * four workers open 16 connections each to an origin, and a limit of 1 means one each. */
    int connections_per_origin_max; /**< 64; more requests queue */
    int idle_per_origin_max; /**< 16: idle connections to one origin; AIODUCT_OFF: none is kept */
    int idle_total_max;      /**< 256: idle connections of the client; AIODUCT_OFF: none is kept */
    int waiters_max; /**< 10,000: queued requests, of all workers together; more are refused */
    int replays_max; /**< 2: resends of a request that provably was not processed, or that a kept
                        connection lost and whose method is idempotent; AIODUCT_OFF: none */

    enum aioduct_family family;           /**< any */
    struct aioduct_socket_options socket; /**< of every connection */
    struct aioduct_tls_options tls;       /**< of every https connection */
    const char *const
        *resolve; /**< "host:port:address[,address]..."; NULL-terminated; NULL: none */
    const char *const
        *connect_to; /**< "host:port:host2:port2", any part but host2 may be empty; NULL: none */
    const char *user_agent; /**< NULL: "aioduct/<version>"; "": none */
    int resolver_threads;   /**< 4: threads for getaddrinfo, started when first needed; a name
                                 takes two for a moment, one a family */
    int dns_cache_ms;       /**< 60,000; failures 5,000 */

    /** Hears of all that goes on (event.h); NULL: nobody does. */
    aioduct_event_fn on_event;
    void *event_user; /**< borrowed until the client is gone */

    /** A loop that the application owns and runs, for the client to live in (loop.h); workers must
     * be 0, and the config file's are not heeded. None. */
    struct aioduct_foreign_loop loop;

    /* HTTP/2 */
    int version; /**< AIODUCT_HTTP_* (request.h) of requests that leave it open; 0: AUTO */
    int h2_connections_per_origin_max; /**< 4: a full one opens another, then requests queue; with
                                          workers each has its part, as above */
    int h2_streams_max; /**< 256: requests at once on a connection; the server's value if lower */
    /** 16,777,216: a server may send so much ahead on a connection. And how much all streams of a
     * worker may have together: window_bytes for one, the rest for bodies that are read as they
     * come, which may have up to eight times window_bytes ahead, each, as long as they last. With
     * no more than window_bytes here no stream has more. */
    int h2_connection_window_bytes;
    int ping_timeout_ms;  /**< 10,000: a connection on which a request timed out, and nothing came,
                             must answer a ping in this time */
    int ping_interval_ms; /**< none: ping a connection that was silent so long */
    int h2_probe; /**< on: while nobody knows whether a server has HTTP/2 one connection is opened
                       to it, and other requests wait for what it says; AIODUCT_OFF: each has its
                       own opened at once */

    /* A name's IPv6 and IPv4 addresses are asked for at once, and tried in turn (RFC 8305). The
     * family that won lately is preferred for ten minutes, before that IPv6; inside a family the
     * system's order stands (gai.conf), which has no say between the two. */
    int resolution_delay_ms; /**< 50: so long the other family's addresses wait for the preferred
                                  one's; AIODUCT_OFF: not at all */
    int attempt_delay_ms;    /**< 250: then the next address is tried too; 10 to 2,000 */

    /** Plugins that make the connections, on top of the runtime's own or in its place: names
     * (libaioduct-cx-NAME.so) and absolute paths, commas between, the outermost first; "": none.
     * NULL: AIODUCT_CONNECTOR, config file, none. */
    const char *connectors;

    /** A unix-domain socket that every connection goes to, whatever the host; "@name": in the
     * abstract namespace. Nothing is looked up. The URL, Host and the certificate's name stay as
     * they are, and HTTPS is TLS here too. NULL: none. */
    const char *unix_socket;
};

/** Options with nothing but defaults: begin with it. */
#ifdef __cplusplus
static inline struct aioduct_client_options aioduct_client_options_init_(void)
{
    struct aioduct_client_options options = {};
    options.size = sizeof options;
    return options;
}
#define AIODUCT_CLIENT_OPTIONS_INIT aioduct_client_options_init_()
#else
#define AIODUCT_CLIENT_OPTIONS_INIT                   \
    {                                                 \
        .size = sizeof(struct aioduct_client_options) \
    }
#endif

/**
 * Create a client: choose and open a runtime, load the trust store on first need.
 * Thread:   any; with a local runtime and no workers the calling thread is the client's for life
 * Owns:     @options copied; *@out_client returned owned, NULL on error
 * Returns:  0 | -EINVAL | -ENOMEM | any AIODUCT_E_* of phase setup; @error (may be NULL) says why.
 *           AIODUCT_E_TLS_CONFIG: a file of options.tls, with @error->os_code ENOENT (it is not
 *           there), EACCES, EISDIR (a directory; ENOTDIR: ca_dir is none) and so on, or 0 and
 *           @error->tls_code if what is in it is wrong; no certificate in it is wrong too
 */
AIODUCT_API int aioduct_client_create(const struct aioduct_client_options *options,
                                      struct aioduct_client **out_client,
                                      struct aioduct_error *error);

/**
 * End a client. Exchanges under way complete with AIODUCT_E_CLIENT_CLOSED, connections close,
 * workers are joined. Legal inside a callback: then the memory goes when the outermost call into
 * the client returns, or when the worker whose callback it is ends.
 * Thread:   any that may submit; in a loop of the application that loop's
 * Owns:     @client released unless an error is returned; NULL does nothing
 * Returns:  0 | AIODUCT_E_THREAD | AIODUCT_E_FORKED (it stays the parent's, and is taken out of the
 * child's copy of the application's loop) |
 * AIODUCT_E_CLIENT_CLOSED (a callback has destroyed it already)
 */
AIODUCT_API int aioduct_client_destroy(struct aioduct_client *client);

/**
 * Drive a client without workers until no exchange is outstanding.
 * Thread:  any with a send binding, one at a time; else the client's
 * Returns: 0 | AIODUCT_E_NESTED | AIODUCT_E_THREAD | AIODUCT_E_FORKED | -EINVAL (it has workers)
 */
AIODUCT_API int aioduct_client_run(struct aioduct_client *client);

/**
 * One loop turn: wait at most @timeout_ms (0: not at all, negative: as long as it takes) and run
 * what is ready. Returns: as aioduct_client_run; AIODUCT_E_UNSUPPORTED if the runtime has no turn
 * Thread:  any with a send binding, one at a time; else the client's
 */
AIODUCT_API int aioduct_client_turn(struct aioduct_client *client, int timeout_ms);

/**
 * Descriptor that polls readable when aioduct_client_turn(client, 0) has work. The client's own: do
 * not close it. Returns: descriptor | AIODUCT_E_UNSUPPORTED | -EINVAL (it has workers)
 * Thread:  any with a send binding, one at a time; else the client's
 */
AIODUCT_API int aioduct_client_poll_fd(struct aioduct_client *client);

/**
 * Close the connections that carry no exchange now, as after a change of network. Those under way
 * go on.
 * Thread:  any that may submit; on other loops it happens a moment later
 * Returns: 0 | AIODUCT_E_THREAD | AIODUCT_E_FORKED | AIODUCT_E_CLIENT_CLOSED | -EINVAL (NULL)
 */
AIODUCT_API int aioduct_client_close_idle(struct aioduct_client *client);

/**
 * Let a client end in order: no more is submitted, what was submitted goes on for @timeout_ms
 * (AIODUCT_NO_LIMIT: as long as it takes), then what is left ends with AIODUCT_E_CLIENT_CLOSED.
 * Idle connections are closed. Blocks until the last on_done has returned; from then on, and also
 * after AIODUCT_E_TIMEOUT, submit gives AIODUCT_E_CLIENT_CLOSED, and the client waits to be
 * destroyed.
 * Thread:  any that may submit
 * Returns: 0 | AIODUCT_E_TIMEOUT (some were ended) | AIODUCT_E_NESTED (in a callback) |
 * AIODUCT_E_THREAD | AIODUCT_E_FORKED | AIODUCT_E_CLIENT_CLOSED | -EINVAL
 */
AIODUCT_API int aioduct_client_drain(struct aioduct_client *client, int timeout_ms);

/** Exchanges submitted and not completed. Thread: any. */
AIODUCT_API size_t aioduct_client_outstanding(const struct aioduct_client *client);

/** Name of the runtime in use, "uring" say. Borrowed until destroy. Thread: any. */
AIODUCT_API const char *aioduct_client_runtime(const struct aioduct_client *client);
/** Where that runtime came from: a path, "built in" or "registered". Borrowed until destroy.
 * Thread: any. */
AIODUCT_API const char *aioduct_client_runtime_origin(const struct aioduct_client *client);

#ifdef __cplusplus
}
#endif

#endif /* AIODUCT_CLIENT_H */
