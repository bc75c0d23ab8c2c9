/* SPDX-License-Identifier: MIT */
#include "net/answer.h"

#include "base/mem.h"
#include "base/slice.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* What is handed out when there is no memory for an answer of its own. */
static struct ad_answer out_of_memory = {.refs = 1, .code = -ENOMEM, .detail = "out of memory"};

static struct ad_answer *answer_alloc(size_t count_max)
{
    struct ad_answer *answer = ad_zalloc(sizeof *answer + count_max * sizeof answer->addrs[0]);
    if (answer == NULL) {
        return NULL;
    }
    answer->refs = 1;
    return answer;
}

struct ad_answer *ad_answer_failed(int code, const char *detail)
{
    struct ad_answer *answer = answer_alloc(0);
    if (answer == NULL) {
        return &out_of_memory;
    }
    answer->code = code;
    snprintf(answer->detail, sizeof answer->detail, "%s", detail);
    return answer;
}

static bool holds(const struct ad_answer *answer, const struct ad_addr *addr)
{
    for (size_t i = 0; i < answer->count; i++) {
        if (answer->addrs[i].bytes == addr->bytes &&
            memcmp(&answer->addrs[i].storage, &addr->storage, addr->bytes) == 0) {
            return true;
        }
    }
    return false;
}

struct ad_answer *ad_answer_found(const struct addrinfo *list)
{
    size_t count = 0;
    for (const struct addrinfo *ai = list; ai != NULL && count < AD_RESOLVE_ADDRS_MAX;
         ai = ai->ai_next) {
        count++;
    }
    struct ad_answer *answer = answer_alloc(count);
    if (answer == NULL) {
        return &out_of_memory;
    }
    for (const struct addrinfo *ai = list; ai != NULL && answer->count < count; ai = ai->ai_next) {
        struct ad_addr addr = {.bytes = ai->ai_addrlen};
        if ((ai->ai_family != AF_INET && ai->ai_family != AF_INET6) ||
            ai->ai_addrlen > sizeof addr.storage) {
            continue;
        }
        memcpy(&addr.storage, ai->ai_addr, ai->ai_addrlen);
        if (!holds(answer, &addr)) {
            answer->addrs[answer->count++] = addr;
        }
    }
    if (answer->count == 0) {
        answer->code = AIODUCT_E_RESOLVE;
        snprintf(answer->detail, sizeof answer->detail, "no usable address");
    }
    return answer;
}

struct ad_answer *ad_answer_refused(int gai_code, int errnum)
{
    switch (gai_code) {
    case EAI_MEMORY:
        return &out_of_memory;
    case EAI_AGAIN:
        return ad_answer_failed(AIODUCT_E_RESOLVE_TEMPORARY, gai_strerror(gai_code));
    case EAI_SYSTEM: /* no descriptor, no socket: says nothing about the name */
        return ad_answer_failed(AIODUCT_E_RESOLVE_TEMPORARY, aioduct_error_text(-errnum));
    default:
        return ad_answer_failed(AIODUCT_E_RESOLVE, gai_strerror(gai_code));
    }
}

/* "localhost", "x.localhost", in any case, each with an optional final dot. */
static bool is_localhost(const char *host)
{
    const struct ad_slice name = ad_slice_of("localhost");
    struct ad_slice s = ad_slice_of(host);
    s.bytes -= s.bytes > 0 && host[s.bytes - 1] == '.';
    if (s.bytes < name.bytes) {
        return false;
    }
    size_t before = s.bytes - name.bytes;
    return ad_slice_case_equal((struct ad_slice){host + before, name.bytes}, name) &&
           (before == 0 || host[before - 1] == '.');
}

/* IPv4 first: a server of this machine that listens on one loopback address alone nearly always
 * takes that one, and behind the same port of the other may be somebody else. */
static struct ad_answer *localhost(int family)
{
    static const char *const texts[] = {"127.0.0.1", "::1"};
    struct ad_answer *answer = answer_alloc(2);
    if (answer == NULL) {
        return &out_of_memory;
    }
    for (size_t i = 0; i < 2; i++) {
        struct ad_addr *addr = &answer->addrs[answer->count];
        ad_addr_parse(texts[i], 0, addr);
        answer->count += family == AF_UNSPEC || family == addr->storage.ss_family;
    }
    return answer;
}

bool ad_host_is_known(const char *host)
{
    struct ad_addr addr;
    size_t bytes = strlen(host);
    return bytes == 0 || bytes > AD_HOST_BYTES_MAX || is_localhost(host) ||
           ad_addr_parse(host, 0, &addr) == 0;
}

struct ad_answer *ad_answer_known(const char *host, int family)
{
    struct ad_addr addr;
    size_t bytes = strlen(host);
    if (bytes == 0 || bytes > AD_HOST_BYTES_MAX) {
        return ad_answer_failed(AIODUCT_E_RESOLVE,
                                bytes == 0 ? "empty host name" : "host name too long");
    }
    if (is_localhost(host)) {
        return localhost(family);
    }
    if (ad_addr_parse(host, 0, &addr) < 0) {
        return NULL;
    }
    if (family != AF_UNSPEC && family != addr.storage.ss_family) {
        return ad_answer_failed(AIODUCT_E_RESOLVE,
                                family == AF_INET ? "not an IPv4 address" : "not an IPv6 address");
    }
    struct ad_answer *answer = answer_alloc(1);
    if (answer == NULL) {
        return &out_of_memory;
    }
    answer->addrs[answer->count++] = addr;
    return answer;
}

struct ad_answer *ad_answer_ref(struct ad_answer *answer)
{
    if (answer != &out_of_memory) {
        atomic_fetch_add_explicit(&answer->refs, 1, memory_order_relaxed);
    }
    return answer;
}

void ad_answer_unref(struct ad_answer *answer)
{
    if (answer != &out_of_memory &&
        atomic_fetch_sub_explicit(&answer->refs, 1, memory_order_acq_rel) == 1) {
        ad_free(answer);
    }
}
