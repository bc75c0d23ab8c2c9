/* SPDX-License-Identifier: MIT */
/*
 * The functions in other libraries' place. The program exports them, so that the library and its
 * plugins find them first. Built without builtins: a memcpy in here must not become one.
 */
#undef _FORTIFY_SOURCE
#include "seen.h"

#include <dlfcn.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))
#define RINGS_MAX 4

struct range {
    const char *begin;
    size_t bytes;
};

/* As the kernel has them; its header here may be older than the kernel. */
struct ring_buffer {
    uint64_t address;
    uint32_t bytes;
    uint16_t id, unused;
};
struct ring_registration {
    uint64_t address;
    uint32_t entries;
};

bool seen_on;
uint64_t seen_copied;

static struct range received, record;
static bool any_receive;
static struct {
    const struct ring_buffer *buffers;
    unsigned count;
} rings[RINGS_MAX];
static unsigned ring_count;

static size_t inside(const struct range *range, const char *at)
{
    bool is_in = range->begin != NULL && at >= range->begin && at < range->begin + range->bytes;
    return is_in ? (size_t)(range->begin + range->bytes - at) : 0;
}

/* ---- questions ---- */

/* So many bytes from @at on lie in one buffer of a ring. */
static size_t inside_rings(const char *at)
{
    for (unsigned r = 0; r < ring_count; r++) {
        for (unsigned i = 0; i < rings[r].count; i++) {
            const struct ring_buffer *buffer = &rings[r].buffers[i];
            struct range range = {(const char *)(uintptr_t)buffer->address, buffer->bytes};
            size_t left = inside(&range, at);
            if (left > 0) {
                return left;
            }
        }
    }
    return 0;
}

bool seen_from_kernel(const void *bytes, size_t count)
{
    const char *at = bytes;
    if (inside(&received, at) >= count) {
        return true;
    }
    while (count > 0) { /* buffers that are neighbours come as one piece */
        size_t here = inside_rings(at);
        if (here == 0) {
            return false;
        }
        here = here < count ? here : count;
        at += here;
        count -= here;
    }
    return true;
}

bool seen_from_gnutls(const void *bytes, size_t count)
{
    return inside(&record, bytes) >= count;
}

bool seen_any_receive(void)
{
    return any_receive || ring_count > 0;
}

/* ---- copies ---- */

/* Is that GnuTLS or a library of its own? */
static bool is_cipher(const void *caller)
{
    static const char *const names[] = {"libgnutls", "libnettle", "libhogweed", "libgmp"};
    Dl_info info;
    if (dladdr(caller, &info) == 0 || info.dli_fname == NULL) {
        return false;
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strstr(info.dli_fname, names[i]) != NULL) {
            return true;
        }
    }
    return false;
}

static void note_copy(size_t count, const void *caller)
{
    if (seen_on && count >= SEEN_BLOCK_BYTES) {
        seen_on = false; /* asking may copy, too */
        seen_copied += is_cipher(caller) ? 0 : count;
        seen_on = true;
    }
}

/* Volatile, so that no compiler sees a memcpy in it. Slow, which does not matter here. */
static void *copy(void *to, const void *from, size_t count)
{
    volatile unsigned char *t = to;
    const volatile unsigned char *f = from;
    if ((uintptr_t)to - (uintptr_t)from >= count) {
        for (size_t i = 0; i < count; i++) {
            t[i] = f[i];
        }
    } else {
        while (count-- > 0) {
            t[count] = f[count];
        }
    }
    return to;
}

#define COPIER(name, parameters, ...)                  \
    EXPORT void *name parameters;                      \
    EXPORT void *name parameters                       \
    {                                                  \
        note_copy(count, __builtin_return_address(0)); \
        return __VA_ARGS__;                            \
    }

COPIER(memcpy, (void *to, const void *from, size_t count), copy(to, from, count))
COPIER(memmove, (void *to, const void *from, size_t count), copy(to, from, count))
COPIER(mempcpy, (void *to, const void *from, size_t count), (char *)copy(to, from, count) + count)
COPIER(__memcpy_chk, (void *to, const void *from, size_t count, size_t room),
       room < count ? (abort(), to) : copy(to, from, count))
COPIER(__memmove_chk, (void *to, const void *from, size_t count, size_t room),
       room < count ? (abort(), to) : copy(to, from, count))

/* ---- the functions themselves ---- */

/* Put the address of the function that is called @name by its own library into *@call, once. A
 * plugin's libraries are not among those that are looked through: @library is its name, or NULL. */
static void find(void *call, const char *name, const char *library)
{
    void *known, *found;
    copy(&known, call, sizeof known);
    if (known != NULL) {
        return;
    }
    void *handle = library == NULL ? RTLD_NEXT : dlopen(library, RTLD_LAZY | RTLD_NOLOAD);
    found = library != NULL && handle == NULL ? NULL : dlsym(handle, name);
    if (found == NULL) {
        abort();
    }
    copy(call, &found, sizeof found);
}

static ssize_t note_receive(const void *to, ssize_t got)
{
    if (got > 0) {
        received = (struct range){to, (size_t)got};
        any_receive = any_receive || (seen_on && got >= SEEN_BLOCK_BYTES); /* a wake-up is less */
    }
    return got;
}

EXPORT ssize_t recv(int fd, void *to, size_t room, int flags)
{
    static ssize_t (*call)(int, void *, size_t, int);
    find(&call, "recv", NULL);
    return note_receive(to, call(fd, to, room, flags));
}

EXPORT ssize_t __recv_chk(int fd, void *to, size_t room, size_t size, int flags);
EXPORT ssize_t __recv_chk(int fd, void *to, size_t room, size_t size, int flags)
{
    (void)size;
    return recv(fd, to, room, flags);
}

EXPORT ssize_t read(int fd, void *to, size_t room)
{
    static ssize_t (*call)(int, void *, size_t);
    find(&call, "read", NULL);
    return note_receive(to, call(fd, to, room));
}

/* What is in the ring is read when it is asked for. */
EXPORT int io_uring_register_buf_ring(void *ring, const struct ring_registration *registration,
                                      unsigned flags);
EXPORT int io_uring_register_buf_ring(void *ring, const struct ring_registration *registration,
                                      unsigned flags)
{
    static int (*call)(void *, const struct ring_registration *, unsigned);
    find(&call, "io_uring_register_buf_ring", "liburing.so.2");
    int code = call(ring, registration, flags);
    if (code == 0 && ring_count < RINGS_MAX) {
        rings[ring_count].buffers = (const void *)(uintptr_t)registration->address;
        rings[ring_count++].count = registration->entries;
    }
    return code;
}

EXPORT void gnutls_packet_get(gnutls_packet_t packet, gnutls_datum_t *data, unsigned char *number)
{
    static void (*call)(gnutls_packet_t, gnutls_datum_t *, unsigned char *);
    find(&call, "gnutls_packet_get", NULL);
    call(packet, data, number);
    record = (struct range){(const char *)data->data, data->size};
}

EXPORT ssize_t gnutls_record_recv(gnutls_session_t session, void *to, size_t room)
{
    static ssize_t (*call)(gnutls_session_t, void *, size_t);
    find(&call, "gnutls_record_recv", NULL);
    ssize_t got = call(session, to, room);
    record = (struct range){to, got > 0 ? (size_t)got : 0};
    return got;
}
