/* SPDX-License-Identifier: MIT */
/* One plugin, and with a switch each every way to be a bad one. It has the shape of a runtime and
 * runs nothing: the loader never calls what is in its tables.
 *
 * PLUGIN_NAME is the name in file, note and descriptor. The switches stand where they act. */
#include <aioduct/plugin/plugin.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#ifndef NOTE_NAME
#define NOTE_NAME PLUGIN_NAME
#endif
#ifndef NOTE_ABI
#define NOTE_ABI "1.0"
#endif
#ifndef NOTE_NEEDS
#define NOTE_NEEDS "0"
#endif
#ifndef NOTE_CAPS
#define NOTE_CAPS "runtime,poll,connector"
#endif
#ifndef DESC_NAME
#define DESC_NAME TEXT(PLUGIN_NAME)
#endif
#ifndef DESC_MAGIC
#define DESC_MAGIC AIODUCT_PLUGIN_MAGIC
#endif
#ifndef DESC_SIZE
#define DESC_SIZE sizeof(struct aioduct_plugin)
#endif
#ifndef DESC_MAJOR
#define DESC_MAJOR AIODUCT_ABI_MAJOR
#endif
#ifndef DESC_BUILT
#define DESC_BUILT AIODUCT_ABI_MINOR
#endif
#ifndef DESC_NEEDED
#define DESC_NEEDED 0
#endif
#ifndef DESC_VERSION
#define DESC_VERSION "1.2.3"
#endif
#ifndef CONNECTOR_FLAGS
#define CONNECTOR_FLAGS AIODUCT_BIND_SEND
#endif
#ifndef TIMER_LAYOUT
#define TIMER_LAYOUT \
    {                \
        8, 8         \
    }
#endif
#ifndef TABLES /* bits: 1 runtime, 2 poll, 4 local, 8 connector */
#define TABLES 11
#endif
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

/* ---- the note ---- */

#ifndef NOTE_TEXT
#define NOTE_TEXT "abi=" NOTE_ABI ";needs=" NOTE_NEEDS ";name=" TEXT(NOTE_NAME) ";caps=" NOTE_CAPS
#endif
/* clang-format off */
#define NOTE(text)                                           \
    __asm__(".pushsection .note.aioduct,\"a\",%note\n"       \
            ".balign 4\n"                                    \
            ".long 2f-1f, 4f-3f, 0x54434441\n"               \
            "1: .asciz \"aioduct\"\n"                        \
            "2: .balign 4\n"                                 \
            "3: .asciz \"" text "\"\n"                       \
            "4: .balign 4\n"                                 \
            ".popsection\n");
/* clang-format on */
#if !defined(NO_NOTE) && !defined(AIODUCT_PLUGIN_STATIC)
NOTE(NOTE_TEXT)
#ifdef TWO_NOTES
NOTE(NOTE_TEXT)
#endif
#endif

/* ---- members ---- */

#ifdef OPEN_FAILS
static int open_runtime(void *rt, const struct aioduct_host *host,
                        const struct aioduct_foreign *foreign)
{
    (void)rt;
    (void)foreign;
    host->error(host->ctx, -EMFILE, "no descriptor is left for the wheel");
    return -EMFILE;
}
#else
static int open_runtime(void *rt, const struct aioduct_host *host,
                        const struct aioduct_foreign *foreign)
{
    (void)rt;
    (void)host;
    (void)foreign;
    return 0;
}
#endif

static void close_any(void *object)
{
    (void)object;
}

static int block_on(void *rt, struct aioduct_task *root, void *root_state)
{
    (void)rt;
    (void)root;
    (void)root_state;
    return 0;
}

static void wake(void *rt, struct aioduct_task *task, void *task_state)
{
    (void)rt;
    (void)task;
    (void)task_state;
}

static uint64_t now_ns(void *rt)
{
    (void)rt;
    return 1;
}

static int turn(void *rt, int64_t timeout_ns)
{
    (void)rt;
    (void)timeout_ns;
    return 0;
}

static int spawn(void *rt, struct aioduct_task *task, void *task_state)
{
    (void)rt;
    (void)task;
    (void)task_state;
    return 0;
}

static int sleep_until(void *rt, struct aioduct_timer *timer, void *timer_state,
                       uint64_t deadline_ns)
{
    (void)rt;
    (void)timer;
    (void)timer_state;
    (void)deadline_ns;
    return 0;
}

static void sleep_cancel(void *rt, struct aioduct_timer *timer, void *timer_state)
{
    (void)rt;
    (void)timer;
    (void)timer_state;
}

static int open_connector(void *cx, const struct aioduct_host *host, void *rt)
{
    (void)cx;
    (void)host;
    (void)rt;
    return 0;
}

static int connect_to(void *cx, struct aioduct_stream *stream, void *state,
                      const struct aioduct_socket_config *config)
{
    (void)cx;
    (void)stream;
    (void)state;
    (void)config;
    return -ENOSYS;
}

static int state_to_int(void *state)
{
    (void)state;
    return -ENOSYS;
}

static int send_pieces(void *state, const struct iovec *pieces, unsigned count)
{
    (void)state;
    (void)pieces;
    (void)count;
    return -ENOSYS;
}

static void cancel(void *state, unsigned ops)
{
    (void)state;
    (void)ops;
}

/* ---- tables ---- */

#define ROOM 512 /* bytes behind each table, for the ones that claim to have grown */
#if defined(LARGER)
#define SIZE(type, first_optional) ROOM
#define SIZE_ALL(type) ROOM
#elif defined(SMALLER) /* from before there were optional members */
#define SIZE(type, first_optional) offsetof(type, first_optional)
#define SIZE_ALL(type) sizeof(type)
#else
#define SIZE(type, first_optional) sizeof(type)
#define SIZE_ALL(type) sizeof(type)
#endif

static const union {
    struct aioduct_runtime table;
    char room[ROOM];
} runtime = {.table = {
                 .size = SIZE(struct aioduct_runtime, turn),
                 .rt = {16, 8},
                 .task = {0, 0},
                 .open = open_runtime,
                 .close = close_any,
                 .block_on = block_on,
#ifndef NO_WAKE
                 .wake = wake,
#endif
                 .now_ns = now_ns,
                 .turn = turn,
             }};

static const union {
    struct aioduct_runtime_poll table;
    char room[ROOM];
} poll = {.table = {
              .size = SIZE_ALL(struct aioduct_runtime_poll),
              .timer = TIMER_LAYOUT,
              .spawn_send = spawn,
#ifndef NO_SLEEP
              .sleep = sleep_until,
#endif
              .sleep_cancel = sleep_cancel,
          }};

static const union {
    struct aioduct_runtime_local table;
    char room[ROOM];
} local = {.table = {
               .size = SIZE_ALL(struct aioduct_runtime_local),
               .timer = {8, 8},
#ifndef NO_SPAWN_LOCAL
               .spawn_local = spawn,
#endif
               .sleep = sleep_until,
               .sleep_cancel = sleep_cancel,
           }};

static const union {
    struct aioduct_connector table;
    char room[ROOM];
} connector = {.table = {
                   .size = SIZE(struct aioduct_connector, stream_info),
                   .flags = CONNECTOR_FLAGS,
                   .cx = {8, 8},
                   .stream = {64, 16},
                   .open = open_connector,
                   .close = close_any,
                   .connect = connect_to,
                   .recv_start = state_to_int,
                   .recv_stop = close_any,
#ifndef NO_SEND
                   .send = send_pieces,
#endif
                   .shutdown = state_to_int,
                   .cancel = cancel,
                   .stream_close = close_any,
               }};

static const void *interfaces(const char *id)
{
    static const struct {
        unsigned bit;
        const char *id;
        const void *table;
    } offered[] = {{1, AIODUCT_IFACE_RUNTIME, &runtime},
                   {2, AIODUCT_IFACE_POLL, &poll},
                   {4, AIODUCT_IFACE_LOCAL, &local},
                   {8, AIODUCT_IFACE_CONNECTOR, &connector}};
    for (unsigned i = 0; i < sizeof offered / sizeof offered[0]; i++) {
        if ((TABLES & offered[i].bit) && strcmp(id, offered[i].id) == 0) {
            return offered[i].table;
        }
    }
    return NULL;
}

/* ---- probe ---- */

#ifndef PROBE_CODE
#define PROBE_CODE 0
#endif
#ifndef PROBE_REASON
#define PROBE_REASON ""
#endif
#ifndef PROBE_HINT
#define PROBE_HINT ""
#endif

static void probe(const struct aioduct_host *host, struct aioduct_probe *out)
{
#ifdef PROBE_DIES
    raise(SIGKILL); /* a crash that no sanitizer makes something else of */
#endif
#ifdef PROBE_HANGS
    for (;;) {
        pause();
    }
#endif
    const char *told = host->option(host->ctx, "probe");
    out->code = PROBE_CODE;
    strcpy(out->reason, PROBE_REASON);
    strcpy(out->hint, PROBE_HINT);
    if (told != NULL && strcmp(told, "fill") == 0) { /* no terminator anywhere */
        out->code = AIODUCT_E_UNAVAILABLE;
        memset(out->reason, 'r', sizeof out->reason);
        memset(out->hint, 'h', sizeof out->hint);
    } else if (told != NULL) {
        out->code = AIODUCT_E_UNAVAILABLE;
        strcpy(out->reason, told);
    }
#ifdef USES_SYMBOL
    void USES_SYMBOL(void);
    USES_SYMBOL();
#endif
}

/* ---- the descriptor ---- */

#ifdef GUARDED
static const char *const guards[] = {"guarded_loop", "guarded_add", NULL};
#else
#define guards NULL
#endif
#ifdef NO_INTERFACES
#define interfaces NULL
#endif

#define DESCRIPTOR                                                                         \
    {                                                                                      \
        .magic = DESC_MAGIC, .size = DESC_SIZE, .abi_major = DESC_MAJOR,                   \
        .abi_minor_built = DESC_BUILT, .abi_minor_needed = DESC_NEEDED, .name = DESC_NAME, \
        .version = DESC_VERSION, .guard_symbols = guards, .probe = probe,                  \
        .get_interface = interfaces                                                        \
    }

#if defined(OTHER_SYMBOL)
extern const struct aioduct_plugin OTHER_SYMBOL __attribute__((visibility("default")));
const struct aioduct_plugin OTHER_SYMBOL = DESCRIPTOR;
#else
#define EXPORT(name) AIODUCT_PLUGIN_EXPORT(name)
EXPORT(PLUGIN_NAME) = DESCRIPTOR;
#endif
