/* SPDX-License-Identifier: MIT */
/**
 * aioduct/runtime.h - which event runtime the process uses, and where plugins are looked for.
 *
 * The order of selection is: the client's option, the environment variable AIODUCT_RUNTIME, the
 * configuration file, automatic (uring, libev, libevent, epoll). A single name is an order and
 * never falls back. A list ("uring,libev") or "auto" takes the first that can run here and says so
 * once in the log.
 */
#ifndef AIODUCT_RUNTIME_H
#define AIODUCT_RUNTIME_H

#include <aioduct/error.h>
#include <aioduct/export.h>

#ifdef __cplusplus
extern "C" {
#endif

struct aioduct_plugin; /**< <aioduct/plugin/plugin.h> */

/** State of an installed runtime, as aioduct_runtime_list sees it. */
enum aioduct_runtime_status {
    AIODUCT_RUNTIME_OK = 0, /**< can run here */
    AIODUCT_RUNTIME_SKIP,   /**< sound, but cannot run on this machine; reason says why */
    AIODUCT_RUNTIME_ERROR   /**< broken: not loaded; reason says why */
};

/** What is known of a runtime. Borrowed for the call that it is given to; texts are never NULL. */
struct aioduct_runtime_info {
    size_t size;                        /**< of this struct, as the library knows it */
    const char *name;                   /**< "uring" */
    enum aioduct_runtime_status status; /**< whether it can run here */
    const char *capabilities;           /**< "poll,connector"; empty if unknown */
    const char *abi;                    /**< "1.0"; empty if unknown */
    const char *version;                /**< the plugin's own; empty if it was not loaded */
    const char *origin;                 /**< absolute path, "built in" or "registered" */
    const char *reason;                 /**< why it cannot run; empty when status is OK */
    const char *hint;                   /**< what to do about it; may be empty */
};

/**
 * Visit every runtime that is built in, registered or installed, in search order.
 * Thread:  any. Loads and probes each plugin in this process if @probe is 1, reads only ELF notes
 * if it is 0. Calls:   @visit once a runtime, inside this call; the info is borrowed for that call.
 * A non-zero return ends the walk and is returned. Returns: 0 | what @visit returned | -ENOMEM |
 * AIODUCT_E_PLUGIN_NAME (relative element in AIODUCT_PLUGIN_PATH) AIODUCT_E_CONFIG
 */
AIODUCT_API int aioduct_runtime_list(int probe,
                                     int (*visit)(const struct aioduct_runtime_info *info,
                                                  void *user),
                                     void *user, struct aioduct_error *error);

/**
 * As aioduct_runtime_list, of connectors that are registered or installed apart from any runtime.
 * "layer" among the capabilities, which is known of a loaded one alone, says that it sits on
 * others.
 * Thread:  any
 */
AIODUCT_API int aioduct_connector_list(int probe,
                                       int (*visit)(const struct aioduct_runtime_info *info,
                                                    void *user),
                                       void *user, struct aioduct_error *error);

/** Result of a dry selection. Strings are inline: nothing to free. */
struct aioduct_runtime_selection {
    size_t size;      /**< of this struct, as the caller knows it */
    char name[40];    /**< "uring" */
    char origin[512]; /**< path or "built in" */
    char version[40]; /**< the plugin's own */
    char abi[16];     /**< "1.0" */
    char source[512]; /**< whose word: "option", "AIODUCT_RUNTIME", "/etc/aioduct/aioduct.conf:3" or
                         "automatic" */
    char notice[512]; /**< what was passed over and why; empty if the first choice runs */
};

/**
 * Which runtime would a client created now with option @value (NULL: none) use?
 * Thread:  any. Loads and probes the candidates.
 * Returns: 0 with @out filled | any error of loading (@out untouched, @error says what was tried;
 * may be NULL)
 */
AIODUCT_API int aioduct_runtime_select(const char *value, struct aioduct_runtime_selection *out,
                                       struct aioduct_error *error);

/** What a client cannot do without, so that a runtime which lacks it is passed over. */
enum aioduct_need {
    AIODUCT_NEED_ANY = 0,  /**< no more than a client that is driven by its own thread */
    AIODUCT_NEED_SEND = 1, /**< requests from any thread: "poll" among the capabilities */
    AIODUCT_NEED_LOCAL = 2 /**< everything on one thread: "local" among them */
};

/** What aioduct_runtime_explain tells; NULL members are not called. */
struct aioduct_runtime_explainer {
    size_t size; /**< of this struct, as the caller knows it */
    /** Each word there is on which runtime to use, the one that decides first: @source as in a
     * selection. */
    void (*on_word)(const char *source, const char *word, void *user);
    /** Each candidate of that word which was tried, in order; only the last can be OK. */
    void (*on_candidate)(const struct aioduct_runtime_info *info, void *user);
    enum aioduct_need need; /**< of the client that is imagined */
    /** Each thing that is set and changes nothing: a directory of AIODUCT_PLUGIN_PATH or of the
     * configuration file that is not there, an option of a runtime that is not the chosen one.
     * @source: the variable, or file and line. Behind all candidates. */
    void (*on_unheeded)(const char *source, const char *what, void *user);
};

/**
 * As aioduct_runtime_select, and tell on the way whose words there are and what became of each
 * candidate.
 * Thread:  any. Loads and probes the candidates.
 * Calls:   @explainer's members inside this call; what they are given is borrowed for that call
 * Returns: as aioduct_runtime_select; -EINVAL also if the explainer has no size
 */
AIODUCT_API int aioduct_runtime_explain(const char *value,
                                        const struct aioduct_runtime_explainer *explainer,
                                        void *user, struct aioduct_runtime_selection *out,
                                        struct aioduct_error *error);

/** What can be known of a plugin without running it. Strings are inline: nothing to free. */
struct aioduct_plugin_inspection {
    size_t size;                /**< of this struct, as the caller knows it */
    char origin[4096];          /**< absolute path, "built in" or "registered" */
    char name[40];              /**< as its note has it; empty if unknown, as the next three */
    char abi[16];               /**< "1.0": built with */
    char abi_needed[16];        /**< "1.0": does with */
    char capabilities[64];      /**< "runtime,poll,connector" */
    char version[40];           /**< of what is linked in; a file's note does not say */
    struct aioduct_error place; /**< code 0, or why others could have written it; then it is loaded
                                     only if the program itself names its path */
    struct aioduct_error content; /**< code 0, or why it cannot be loaded */
};

/**
 * Look at the plugin that @what means: the name of a runtime, or else of a connector, which is
 * looked for as a selection does, or the absolute path of a file. Of a file nothing is run: its
 * owner, its mode and its ELF note are read. So this tells neither whether the libraries that it
 * needs are there nor whether it can run here.
 * Thread:  any
 * Returns: 0 with @out filled, also if something is wrong with it | -EINVAL (size) | -ENOMEM |
 * AIODUCT_E_PLUGIN_NOT_FOUND | AIODUCT_E_PLUGIN_NAME | AIODUCT_E_CONFIG; then @out is untouched
 */
AIODUCT_API int aioduct_plugin_inspect(const char *what, struct aioduct_plugin_inspection *out,
                                       struct aioduct_error *error);

/**
 * Add a directory, searched before all others; an absolute path, copied.
 * Thread:  any, before the first client is created
 * Returns: 0 | AIODUCT_E_TOO_LATE | AIODUCT_E_PLUGIN_NAME (relative) | -ENOMEM
 */
AIODUCT_API int aioduct_plugin_directory_add(const char *directory);

/**
 * Never load a plugin file from now on; built-in and registered runtimes stay.
 * Thread:  any. Returns: 0
 */
AIODUCT_API int aioduct_plugins_disable(void);

/**
 * Register a plugin that is linked into the program (built with AIODUCT_PLUGIN_STATIC).
 * Thread:  any, before the first client is created. @plugin is static and stays.
 * Returns: 0 | AIODUCT_E_TOO_LATE | AIODUCT_E_PLUGIN_INVALID | AIODUCT_E_PLUGIN_ABI | -EEXIST |
 * -ENOMEM
 */
AIODUCT_API int aioduct_runtime_register(const struct aioduct_plugin *plugin,
                                         struct aioduct_error *error);

/**
 * As aioduct_runtime_register, a plugin that offers a connector, for clients that name it in their
 * option connectors.
 * Thread:  any, before the first client is created. @plugin is static and stays.
 */
AIODUCT_API int aioduct_connector_register(const struct aioduct_plugin *plugin,
                                           struct aioduct_error *error);

/** Levels as in AIODUCT_LOG_* of the plugin header: 0 error, 1 warning, 2 notice, 3 info, 4 debug
 * (each event of a client), 5 trace (and the heads of requests and responses). */
typedef void (*aioduct_log_fn)(int level, const char *message, void *user);

/**
 * Where the library's messages go; NULL: nowhere, the default. The library never prints by itself:
 * only the environment makes it write: AIODUCT_LOG=LEVEL[:FILE] (to standard error without FILE),
 * beside what @log gets. A level: error, warn, notice, info, debug, trace. Messages are one line of
 * UTF-8 without control bytes. Credentials, cookies, userinfo and queries are left out, unless
 * AIODUCT_LOG_SECRETS=1. AIODUCT_DEBUG=plugins,calls adds what these topics tell: to @log if it
 * listens at level 4, to where AIODUCT_LOG writes at whatever level, and if there is neither, to
 * standard error. One of these variables that cannot be followed fails the creation of clients.
 * Thread:  any. @log may be called from any thread, inside any call into the library, until another
 * is set and every client created before is gone; it calls nothing of the library.
 */
AIODUCT_API void aioduct_log_set(aioduct_log_fn log, void *user, int level_max);

/** "0.1.0". Thread: any. */
AIODUCT_API const char *aioduct_version(void);

#ifdef __cplusplus
}
#endif

#endif /* AIODUCT_RUNTIME_H */
