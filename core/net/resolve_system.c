/* SPDX-License-Identifier: MIT */
/*
 * The default resolver: getaddrinfo on a small pool of threads.
 *
 * One entry a name and family is queued, being looked up, or kept in the cache; everybody who asks
 * for the same meanwhile waits at the same entry. Limits count names: the two families of one are
 * counted as one where both are queued, or both kept. Who waits is told by a post to the own loop,
 * made under the lock, so that after ad_lookup_cancel has returned nothing of the resolver knows
 * the loop any more. A look-up that nobody waits for is an orphan: it goes on, feeds the cache, and
 * does not count against the limit of threads, so that hung ones do not starve the next.
 *
 * AI_ADDRCONFIG stays off: it costs a netlink round trip (15 us) each time, and a family that this
 * machine has no route for fails at once in connect(2), which the race forgives.
 */
#include "base/assert.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/slice.h"
#include "base/thread.h"
#include "net/answer.h"
#include "runtime/loop.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#define THREADS_DEFAULT 4
#define THREADS_MAX 64 /* above that the machine's name service is the limit */
/* Hung threads beside the working ones, two for a name; each holds a stack and a socket. */
#define ORPHANS_MAX 32
#define QUEUE_MAX 1024 /* names that wait for a thread: minutes of work for four threads */
#define CACHE_MS 60000
#define CACHE_FAILURE_MS 5000
#define CACHE_NAMES_MAX 1024
#define BUCKETS 512 /* a power of two; two names of two families each when the cache is full */

struct entry {
    struct entry *chain;    /* next in the bucket */
    struct ad_list node;    /* QUEUED: in the queue; KEPT: in the cache, last used first */
    struct ad_list waiters; /* empty when KEPT */
    struct ad_answer *answer;
    enum { QUEUED, RUNNING, KEPT } state;
    int family;
    uint32_t hash;
    char name[]; /* lower case */
};

struct waiter {
    struct ad_post post;
    struct ad_list node;
    struct entry *entry; /* under the lock; NULL once the answer was posted */
    struct ad_loop *loop;
    struct ad_lookup *lookup; /* loop thread; NULL: cancelled after the answer was posted */
    struct ad_answer *answer;
    struct system *system; /* referenced; set if one of its threads posted the answer */
    uint16_t port;
};

struct worker {
    struct ad_list node;
    struct system *system;
    pthread_t thread;
    bool looking_up;
};

struct system {
    struct ad_resolver base;

    /* immutable */
    struct ad_resolver_options options;
    pid_t pid;

    /* under the lock */
    pthread_mutex_t lock;
    pthread_cond_t work;
    unsigned refs; /* the owner, each thread that destroy left behind, each post of a thread */
    bool stopping;
    struct ad_list queue, kept, workers;
    int queue_count, worker_count, idle_count, orphan_count;
    int queued_names, kept_names;
    uint64_t clock_ns; /* latest loop time that anybody came with */
    struct entry *buckets[BUCKETS];
};

/* ---- entries ---- */

static uint32_t hash_name(const char *name, int family)
{
    uint32_t hash = 2166136261u + (uint32_t)family;
    for (; *name != '\0'; name++) {
        hash = (hash ^ (uint8_t)*name) * 16777619u;
    }
    return hash;
}

static struct entry *find_entry(struct system *s, const char *name, int family, uint32_t hash)
{
    struct entry *e = s->buckets[hash % BUCKETS];
    while (e != NULL && (e->hash != hash || e->family != family || strcmp(e->name, name) != 0)) {
        e = e->chain;
    }
    return e;
}

/* The entry of the same name's other family; NULL: there is none. */
static struct entry *find_sibling(struct system *s, const struct entry *e)
{
    int other = e->family == AF_INET6 ? AF_INET : AF_INET6;
    return e->family == AF_UNSPEC ? NULL : find_entry(s, e->name, other, hash_name(e->name, other));
}

/* What @e adds to the count of names in @state: 0 if its sibling stands for both. */
static int weight(struct system *s, const struct entry *e, int state)
{
    const struct entry *sibling = find_sibling(s, e);
    return sibling == NULL || (int)sibling->state != state;
}

static struct entry *create_entry(struct system *s, const char *name, int family, uint32_t hash)
{
    size_t bytes = strlen(name) + 1;
    struct entry *e = ad_zalloc(sizeof *e + bytes);
    if (e == NULL) {
        return NULL;
    }
    e->family = family;
    e->hash = hash;
    memcpy(e->name, name, bytes);
    ad_list_init(&e->node);
    ad_list_init(&e->waiters);
    e->chain = s->buckets[hash % BUCKETS];
    s->buckets[hash % BUCKETS] = e;
    return e;
}

static void destroy_entry(struct system *s, struct entry *e)
{
    struct entry **at = &s->buckets[e->hash % BUCKETS];
    while (*at != e) {
        at = &(*at)->chain;
    }
    *at = e->chain;
    if (e->state == QUEUED) {
        s->queue_count--;
        s->queued_names -= weight(s, e, QUEUED);
    } else if (e->state == KEPT) {
        s->kept_names -= weight(s, e, KEPT);
    }
    ad_list_remove(&e->node);
    if (e->answer != NULL) {
        ad_answer_unref(e->answer);
    }
    ad_free(e);
}

/* A name that has addresses exists: that it has none of this family is no failure. */
static bool exists(struct system *s, const struct entry *e)
{
    const struct entry *sibling = find_sibling(s, e);
    return e->answer->code == 0 ||
           (sibling != NULL && sibling->state == KEPT && sibling->answer->code == 0);
}

static bool expired(struct system *s, const struct entry *e, uint64_t now_ns)
{
    int64_t ms = exists(s, e) ? s->options.cache_ms : s->options.cache_failure_ms;
    uint64_t at_ns = atomic_load_explicit(&e->answer->at_ns, memory_order_relaxed);
    return now_ns >= at_ns + (uint64_t)ms * 1000000u;
}

/* A failure that may be gone at the next try is not remembered, nor is anything local to us. */
static bool worth_keeping(const struct system *s, const struct ad_answer *answer)
{
    return s->options.cache_ms > 0 && (answer->code == 0 || (answer->code == AIODUCT_E_RESOLVE &&
                                                             s->options.cache_failure_ms > 0));
}

static void keep(struct system *s, struct entry *e, struct ad_answer *answer)
{
    e->state = KEPT;
    e->answer = ad_answer_ref(answer);
    ad_list_push_front(&s->kept, &e->node);
    s->kept_names += weight(s, e, KEPT);
    while (s->kept_names > s->options.cache_names_max) {
        destroy_entry(s, AD_CONTAINER_OF(s->kept.prev, struct entry, node));
    }
}

/* ---- telling who waits ---- */

static void unref_unlock(struct system *s)
{
    bool last = --s->refs == 0;
    pthread_mutex_unlock(&s->lock);
    if (last) {
        pthread_cond_destroy(&s->work);
        pthread_mutex_destroy(&s->lock);
        ad_free(s);
    }
}

static void on_post(struct ad_post *post)
{
    struct waiter *w = AD_CONTAINER_OF(post, struct waiter, post);
    struct ad_answer *answer = w->answer;
    struct ad_lookup *lookup = w->lookup;
    struct ad_addr addrs[AD_RESOLVE_ADDRS_MAX];
    const in_port_t port = htons(w->port);
    if (w->system != NULL) {
        /* The age of a fresh answer begins now. Having had the lock, the thread is out of
         * ad_loop_post, so whoever is told may go on to destroy the loop. */
        atomic_store_explicit(&answer->at_ns, ad_loop_now_ns(w->loop), memory_order_relaxed);
        pthread_mutex_lock(&w->system->lock);
        unref_unlock(w->system);
    }
    for (size_t i = 0; i < answer->count; i++) {
        addrs[i] = answer->addrs[i];
        /* The port has the same place in both families. */
        memcpy((char *)&addrs[i].storage + offsetof(struct sockaddr_in, sin_port), &port,
               sizeof port);
    }
    ad_free(w);
    if (lookup != NULL) {
        lookup->job = NULL;
        lookup->on_done(lookup, answer->code, addrs, answer->count, answer->detail);
    }
    ad_answer_unref(answer);
}

static void post_answer(struct waiter *w, struct ad_answer *answer)
{
    w->answer = ad_answer_ref(answer);
    w->entry = NULL;
    ad_loop_post(w->loop, &w->post);
}

static void finish(struct system *s, struct entry *e, struct ad_answer *answer)
{
    struct ad_list *node;
    s->orphan_count -= ad_list_empty(&e->waiters);
    atomic_store_explicit(&answer->at_ns, s->clock_ns, memory_order_relaxed);
    while ((node = ad_list_pop_front(&e->waiters)) != NULL) {
        struct waiter *w = AD_CONTAINER_OF(node, struct waiter, node);
        w->system = s;
        s->refs++;
        post_answer(w, answer);
    }
    if (worth_keeping(s, answer) && !s->stopping) {
        keep(s, e, answer);
    } else {
        destroy_entry(s, e);
    }
}

/* ---- threads ---- */

static struct ad_answer *look_up(const struct system *s, const struct entry *e)
{
    struct addrinfo hints = {.ai_family = e->family, .ai_socktype = SOCK_STREAM};
    void *list = NULL;
    errno = 0;
    int code = s->options.getaddrinfo(e->name, NULL, &hints, &list);
    if (code != 0) {
        return ad_answer_refused(code, errno);
    }
    struct ad_answer *answer = ad_answer_found(list);
    s->options.freeaddrinfo(list);
    return answer;
}

/* Threads that hung and came back may be more than were asked for. */
static bool is_surplus(const struct system *s)
{
    return s->worker_count - s->orphan_count > s->options.threads;
}

static void *run_worker(void *arg)
{
    struct worker *w = arg;
    struct system *s = w->system;
    pthread_mutex_lock(&s->lock);
    while (!s->stopping && !is_surplus(s)) {
        struct ad_list *node = ad_list_pop_front(&s->queue);
        if (node == NULL) {
            s->idle_count++;
            pthread_cond_wait(&s->work, &s->lock);
            s->idle_count--;
            continue;
        }
        struct entry *e = AD_CONTAINER_OF(node, struct entry, node);
        s->queue_count--;
        s->queued_names -= weight(s, e, QUEUED);
        e->state = RUNNING;
        w->looking_up = true;
        pthread_mutex_unlock(&s->lock);
        struct ad_answer *answer = look_up(s, e);
        pthread_mutex_lock(&s->lock);
        finish(s, e, answer);
        ad_answer_unref(answer);
        if (s->stopping) { /* left behind by destroy: the last one out frees everything */
            unref_unlock(s);
            ad_free(w);
            return NULL;
        }
        w->looking_up = false;
    }
    if (!s->stopping) {
        ad_list_remove(&w->node);
        s->worker_count--;
        pthread_detach(pthread_self());
        ad_free(w);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* One more thread, if there is work that no idle one will take and the limits allow it. */
static int need_worker(struct system *s)
{
    if (s->queue_count <= s->idle_count ||
        s->worker_count - s->orphan_count >= s->options.threads ||
        s->worker_count >= s->options.threads + ORPHANS_MAX) {
        return 0;
    }
    struct worker *w = ad_zalloc(sizeof *w);
    if (w == NULL) {
        return -ENOMEM;
    }
    w->system = s;
    int code = ad_thread_start(&w->thread, run_worker, w);
    if (code < 0) {
        ad_free(w);
        return code;
    }
    pthread_setname_np(w->thread, "aioduct-dns");
    ad_list_push_back(&s->workers, &w->node);
    s->worker_count++;
    return 0;
}

/* ---- operations ---- */

/* The entry that @name waits at, with a thread to serve it -> 0, or negative with nothing
 * changed. */
static int enqueue(struct system *s, const char *name, int family, uint32_t hash,
                   struct entry **out)
{
    struct entry *e = create_entry(s, name, family, hash);
    if (e == NULL) {
        return -ENOMEM;
    }
    e->state = QUEUED;
    ad_list_push_back(&s->queue, &e->node);
    s->queue_count++;
    s->queued_names += weight(s, e, QUEUED);
    if (s->queued_names > QUEUE_MAX) {
        destroy_entry(s, e);
        return AIODUCT_E_LIMIT;
    }
    int code = need_worker(s);
    if (code < 0 && s->worker_count == 0) {
        destroy_entry(s, e);
        return code;
    }
    pthread_cond_signal(&s->work);
    *out = e;
    return 0;
}

static int ask(struct system *s, struct waiter *w, const char *name, int family, uint64_t now_ns)
{
    uint32_t hash = hash_name(name, family);
    struct entry *e = find_entry(s, name, family, hash);
    s->clock_ns = s->clock_ns > now_ns ? s->clock_ns : now_ns;
    if (e != NULL && e->state == KEPT && expired(s, e, now_ns)) {
        destroy_entry(s, e);
        e = NULL;
    }
    if (e != NULL && e->state == KEPT) {
        ad_list_remove(&e->node);
        ad_list_push_front(&s->kept, &e->node);
        post_answer(w, e->answer);
        return 0;
    }
    if (e == NULL) {
        int code = enqueue(s, name, family, hash, &e);
        if (code < 0) {
            return code;
        }
    } else if (e->state == RUNNING && ad_list_empty(&e->waiters)) {
        s->orphan_count--;
    }
    ad_list_push_back(&e->waiters, &w->node);
    w->entry = e;
    return 0;
}

static int system_start(struct ad_resolver *resolver, struct ad_loop *loop,
                        struct ad_lookup *lookup, const char *host, uint16_t port, int family)
{
    struct system *s = AD_CONTAINER_OF(resolver, struct system, base);
    struct waiter *w = ad_zalloc(sizeof *w);
    if (w == NULL) {
        return -ENOMEM;
    }
    w->post.run = on_post;
    w->loop = loop;
    w->lookup = lookup;
    w->port = port;
    ad_list_init(&w->node);
    struct ad_answer *known = ad_answer_known(host, family);
    if (known != NULL) {
        post_answer(w, known);
        ad_answer_unref(known);
        lookup->job = w;
        return 0;
    }
    char name[AD_HOST_BYTES_MAX + 1];
    size_t bytes = strlen(host);
    for (size_t i = 0; i <= bytes; i++) {
        name[i] = ad_ascii_lower(host[i]);
    }
    pthread_mutex_lock(&s->lock);
    int code = ask(s, w, name, family, ad_loop_now_ns(loop));
    pthread_mutex_unlock(&s->lock);
    if (code < 0) {
        ad_free(w);
        return code;
    }
    lookup->job = w;
    return 0;
}

static void system_cancel(struct ad_resolver *resolver, struct ad_lookup *lookup)
{
    struct system *s = AD_CONTAINER_OF(resolver, struct system, base);
    struct waiter *w = lookup->job;
    if (w == NULL) {
        return;
    }
    lookup->job = NULL;
    pthread_mutex_lock(&s->lock);
    struct entry *e = w->entry;
    if (e == NULL) {
        w->lookup = NULL; /* the post frees it */
        pthread_mutex_unlock(&s->lock);
        return;
    }
    ad_list_remove(&w->node);
    if (ad_list_empty(&e->waiters)) {
        if (e->state == QUEUED) {
            destroy_entry(s, e);
        } else {
            s->orphan_count++;
            need_worker(s); /* out of threads: the queue waits for the next that comes back */
        }
    }
    pthread_mutex_unlock(&s->lock);
    ad_free(w);
}

/* Threads inside a look-up are left to themselves; the others have nothing to wait for and are
 * joined. */
static void part_from_workers(struct system *s, struct ad_list *joinable)
{
    AD_LIST_FOR_EACH (node, &s->workers) {
        struct worker *w = AD_CONTAINER_OF(node, struct worker, node);
        ad_list_remove(&w->node);
        if (w->looking_up) {
            pthread_detach(w->thread);
            s->refs++;
        } else {
            ad_list_push_back(joinable, &w->node);
        }
    }
}

static void system_destroy(struct ad_resolver *resolver)
{
    struct system *s = AD_CONTAINER_OF(resolver, struct system, base);
    struct ad_list joinable;
    struct ad_list *node;
    if (getpid() != s->pid) {
        return; /* the threads are the parent's, and the lock may be held for ever */
    }
    ad_list_init(&joinable);
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct entry *e = s->buckets[i], *next; e != NULL; e = next) {
            next = e->chain;
            AD_ASSERT(ad_list_empty(&e->waiters));
            if (e->state != RUNNING) {
                destroy_entry(s, e);
            }
        }
    }
    part_from_workers(s, &joinable);
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->lock);
    while ((node = ad_list_pop_front(&joinable)) != NULL) {
        struct worker *w = AD_CONTAINER_OF(node, struct worker, node);
        pthread_join(w->thread, NULL);
        ad_free(w);
    }
    pthread_mutex_lock(&s->lock);
    unref_unlock(s);
}

/* ---- life ---- */

static int system_getaddrinfo(const char *node, const char *service, const void *hints,
                              void **result)
{
    struct addrinfo *list = NULL;
    int code = getaddrinfo(node, service, hints, &list);
    *result = list;
    return code;
}

static void system_freeaddrinfo(void *result)
{
    freeaddrinfo(result);
}

static int or_default(int value, int otherwise)
{
    return value == 0 ? otherwise : value;
}

int ad_resolver_create_system(const struct ad_resolver_options *options, struct ad_resolver **out)
{
    static const struct ad_resolver_ops ops = {
        .start = system_start, .cancel = system_cancel, .destroy = system_destroy};
    struct system *s = ad_zalloc(sizeof *s);
    if (s == NULL) {
        return -ENOMEM;
    }
    s->base.ops = &ops;
    s->options = options != NULL ? *options : (struct ad_resolver_options){0};
    struct ad_resolver_options *o = &s->options;
    o->threads = or_default(o->threads, THREADS_DEFAULT);
    o->threads = o->threads < 1 ? 1 : o->threads > THREADS_MAX ? THREADS_MAX : o->threads;
    o->cache_ms = or_default(o->cache_ms, CACHE_MS);
    o->cache_failure_ms = or_default(o->cache_failure_ms, CACHE_FAILURE_MS);
    o->cache_names_max = or_default(o->cache_names_max, CACHE_NAMES_MAX);
    o->cache_names_max = o->cache_names_max < 1 ? 1 : o->cache_names_max;
    if (o->getaddrinfo == NULL) {
        o->getaddrinfo = system_getaddrinfo;
        o->freeaddrinfo = system_freeaddrinfo;
    }
    s->pid = getpid();
    s->refs = 1;
    ad_list_init(&s->queue);
    ad_list_init(&s->kept);
    ad_list_init(&s->workers);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    *out = &s->base;
    return 0;
}
