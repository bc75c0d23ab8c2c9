/* SPDX-License-Identifier: MIT */
/**
 * suite.h - cases as data: what each is called, which rules of docs/CONTRACT.md it checks, what it
 * starts from. A file t_GROUP.c ends in
 *
 *     static const struct ct_test cases[] = {
 *         CT_CASE(a_spawned_task_runs_once, "RT-8"),
 *     };
 *     CT_GROUP(task, CT_BY_POLL)
 *
 * and is named in suite.c. The first rule of a case is the one that its failure counts against,
 * unless the failure itself names another; kit/index.py compares them all with the page.
 */
#ifndef CT_SUITE_H
#define CT_SUITE_H

#include <stdbool.h>
#include <stddef.h>

struct ct_case;

/* What a case starts from; each level has what the one before has. */
enum ct_level {
    CT_FROM_FILE,   /* the file's path, if it has one; nothing is loaded */
    CT_FROM_PLUGIN, /* the descriptor */
    CT_FROM_TABLES, /* the tables, whole: an instance may be opened */
    CT_FROM_RIG     /* an open instance and a listener */
};

enum { CT_RULES_MAX = 6 };

struct ct_test {
    const char *name;
    void (*run)(struct ct_case *c);
    enum ct_level level;
    const char *rules[CT_RULES_MAX + 1]; /* NULL after the last */
};

#define CT_TEST(name, level, ...) \
    {                             \
#name, name, (level),     \
        {                         \
            __VA_ARGS__, NULL     \
        }                         \
    }
#define CT_CASE(name, ...) CT_TEST(name, CT_FROM_RIG, __VA_ARGS__)
#define CT_BARE_CASE(name, ...) CT_TEST(name, CT_FROM_TABLES, __VA_ARGS__)
#define CT_PLUGIN_CASE(name, ...) CT_TEST(name, CT_FROM_PLUGIN, __VA_ARGS__)
#define CT_FILE_CASE(name, ...) CT_TEST(name, CT_FROM_FILE, __VA_ARGS__)

/* Run a second time: with the loop driven by poll_fd and turn; with peers on ::1. */
enum { CT_BY_POLL = 1, CT_OVER_IPV6 = 2 };

struct ct_group {
    const char *name;
    const struct ct_test *tests;
    size_t count;
    unsigned flags;
};

#define CT_GROUP(name, flags)                                                                  \
    const struct ct_group ct_group_##name = {#name, cases, sizeof(cases) / sizeof((cases)[0]), \
                                             (flags)};

extern const struct ct_group *const ct_groups[];
extern const size_t ct_group_count;

/* A case as it is to be run. */
struct ct_instance {
    const struct ct_group *group;
    const struct ct_test *test;
    bool by_poll, over_ipv6;
};
/* -> "NAME", "NAME by poll_fd", "NAME over IPv6" in @out */
void ct_instance_name(const struct ct_instance *instance, char *out, size_t bytes);

/* Does @word choose this case? A rule (RT-12), a group of rules (RT), a group of cases (send), a
 * pattern with * and ?, or a part of the name. */
bool ct_instance_matches(const struct ct_instance *instance, const char *word);

#endif
