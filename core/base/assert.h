/* SPDX-License-Identifier: MIT */
/**
 * Assertions on our own state, never on peer bytes. AD_ASSERT stays in release builds;
 * AD_DEBUG_ASSERT does not.
 */
#ifndef AD_BASE_ASSERT_H
#define AD_BASE_ASSERT_H

__attribute__((noreturn, cold)) void ad_assert_failed(const char *what, const char *file, int line);

#define AD_ASSERT(x) \
    (__builtin_expect(!!(x), 1) ? (void)0 : ad_assert_failed(#x, __FILE__, __LINE__))
#ifdef NDEBUG
#define AD_DEBUG_ASSERT(x) ((void)0)
#else
#define AD_DEBUG_ASSERT(x) AD_ASSERT(x)
#endif

#define AD_CONTAINER_OF(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

#endif
