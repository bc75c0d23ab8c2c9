/* SPDX-License-Identifier: MIT */
/**
 * aioduct/error.h - result codes, and the record that says what went wrong.
 *
 * 0 or more is success. -1 to -4095 is -errno of the system. Below that lie the codes of this file;
 * -5001 to -5006 are shared with plugins. The numbers are part of the ABI.
 */
#ifndef AIODUCT_ERROR_H
#define AIODUCT_ERROR_H

#include <aioduct/export.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The same lines stand in <aioduct/plugin/plugin.h>, so that either header stands alone. */
#ifndef AIODUCT_SHARED_CODES
/** Whichever header came first has defined the codes below. */
#define AIODUCT_SHARED_CODES
/** Codes that core and plugins share. */
enum {
    AIODUCT_E_UNAVAILABLE = -5001, /**< cannot run on this machine */
    AIODUCT_E_UNSUPPORTED = -5002, /**< an option or operation that the runtime does not have */
    AIODUCT_E_THREAD = -5003,      /**< called from a thread that does not own the object */
    AIODUCT_E_NESTED = -5004,      /**< a blocking call inside a callback of the same instance */
    AIODUCT_E_FORKED = -5005,      /**< the object belongs to the parent process */
    AIODUCT_E_CLASH = -5006        /**< the loop library's symbols belong to another library */
};
#endif

/** The library's own codes. docs/ERRORS.md has their classes and texts. */
enum {
    /* choosing and loading a runtime */
    AIODUCT_E_PLUGIN_NOT_FOUND = -5101,  /**< no such runtime is installed */
    AIODUCT_E_PLUGIN_INVALID = -5102,    /**< the file is not a usable plugin */
    AIODUCT_E_PLUGIN_ABI = -5103,        /**< built for another major, or needs a newer minor */
    AIODUCT_E_PLUGIN_DEPENDENCY = -5104, /**< a library that the plugin needs is missing */
    AIODUCT_E_PLUGIN_UNSAFE = -5105,     /**< others may write the file or its directory */
    AIODUCT_E_PLUGIN_CAPABILITY = -5106, /**< the runtime lacks what this client needs */
    AIODUCT_E_PLUGIN_NAME = -5107,       /**< the runtime's name is malformed, or a relative path */
    AIODUCT_E_TOO_LATE = -5108,          /**< must be set before the first client is created */
    AIODUCT_E_CONFIG = -5109, /**< the configuration file is wrong; detail names file and line */

    /* the caller's input */
    AIODUCT_E_URL = -5201,         /**< malformed URL */
    AIODUCT_E_URL_SCHEME = -5202,  /**< neither http nor https */
    AIODUCT_E_BODY_LENGTH = -5203, /**< the body source gave more or fewer bytes than declared */
    AIODUCT_E_BODY_SOURCE = -5204, /**< the body callback reported an error */
    AIODUCT_E_LIMIT = -5205,       /**< a limit of the client was reached; detail names it */
    AIODUCT_E_SINK = -5206,        /**< the caller's callback or file did not take the response */

    /* the way to the peer */
    AIODUCT_E_RESOLVE = -5301,           /**< the name does not exist */
    AIODUCT_E_RESOLVE_TEMPORARY = -5302, /**< the name server did not answer; try again */
    AIODUCT_E_TIMEOUT = -5303,           /**< a deadline passed; phase says which */
    AIODUCT_E_CLOSED = -5304,            /**< the peer closed the connection before an answer */
    AIODUCT_E_TLS = -5305,               /**< handshake or record failure */
    AIODUCT_E_TLS_VERIFY = -5306,        /**< the peer's certificate was refused; detail says why */
    AIODUCT_E_TLS_CONFIG = -5307,        /**< a certificate, key or trust file cannot be used */

    /* what the peer sent */
    AIODUCT_E_PROTOCOL = -5401,   /**< not valid HTTP */
    AIODUCT_E_HEAD_LIMIT = -5402, /**< response head larger than the limit */
    AIODUCT_E_TRUNCATED = -5403,  /**< the body ended early; what came was delivered */
    AIODUCT_E_NOT_HTTP = -5404,   /**< the answer does not even start as HTTP does */
    AIODUCT_E_STREAM = -5405,     /**< the peer ended the HTTP/2 stream; detail names its code */

    /* ours */
    AIODUCT_E_CLIENT_CLOSED = -5501, /**< the client is being destroyed */
    AIODUCT_E_INTERNAL = -5502       /**< should not happen; please report it */
};

/** Where in the life of an exchange an error happened. */
enum aioduct_phase {
    AIODUCT_PHASE_NONE = 0, /**< no error, or of no exchange */
    AIODUCT_PHASE_SETUP,    /**< options, plugins, configuration */
    AIODUCT_PHASE_QUEUE,    /**< waiting for a connection */
    AIODUCT_PHASE_RESOLVE,  /**< name look-up */
    AIODUCT_PHASE_CONNECT,  /**< TCP */
    AIODUCT_PHASE_TLS,      /**< handshake */
    AIODUCT_PHASE_SEND,     /**< request head and body */
    AIODUCT_PHASE_HEAD,     /**< waiting for, or reading, the response head */
    AIODUCT_PHASE_BODY      /**< reading the response body */
};

/** What kind of trouble a code is. */
enum aioduct_error_class {
    AIODUCT_CLASS_USAGE = 1, /**< the caller must change something */
    AIODUCT_CLASS_TEMPORARY, /**< the same call may succeed later */
    AIODUCT_CLASS_PEER,      /**< the peer did something wrong */
    AIODUCT_CLASS_LOCAL      /**< this machine or its configuration */
};

/**
 * An error in full. A caller-owned value: zero it, pass its address where a function takes one,
 * read it afterwards. Functions set it only when they fail. Texts are UTF-8, one line each,
 * NUL-terminated, possibly cut.
 */
struct aioduct_error {
    int code;                 /**< 0: no error */
    enum aioduct_phase phase; /**< where in the life of the exchange */
    int os_code;              /**< errno, if one was behind it; positive or 0 */
    int tls_code;             /**< GnuTLS code or alert, if one was behind it */
    unsigned verify_status;   /**< GnuTLS certificate status bits with AIODUCT_E_TLS_VERIFY */
    int safe_to_retry;        /**< 1: the request was certainly not acted on by the peer */
    int partial;              /**< 1: part of the response body was delivered before the error */
    char message[512];        /**< what happened, to what */
    char hint[256];           /**< what to do about it; may be empty */
};

/** Name of @code, such as "AIODUCT_E_URL" or "ECONNREFUSED". Static; never NULL. Thread: any. */
AIODUCT_API const char *aioduct_error_name(int code);
/** One line for people on @code. Static for aioduct's own codes and for errno values; never NULL.
 * Thread: any. */
AIODUCT_API const char *aioduct_error_text(int code);
/** Class of @code (enum aioduct_error_class). Thread: any. */
AIODUCT_API int aioduct_error_class(int code);
/** "connect", "tls" and so on; "none" for AIODUCT_PHASE_NONE. Static; never NULL. Thread: any. */
AIODUCT_API const char *aioduct_phase_name(enum aioduct_phase phase);

#ifdef __cplusplus
}
#endif

#endif /* AIODUCT_ERROR_H */
