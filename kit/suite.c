/* SPDX-License-Identifier: MIT */
#include "suite.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

/* In the order in which a plugin is made: what comes first is the cause of what fails later. */
#define GROUPS(X) \
    X(file)       \
    X(plugin)     \
    X(open)       \
    X(task)       \
    X(block_on)   \
    X(wake)       \
    X(turn)       \
    X(pollfd)     \
    X(timer)      \
    X(connect)    \
    X(recv)       \
    X(place)      \
    X(send) X(sendfile) X(close) X(crowd) X(options) X(signal) X(fail) X(fork) X(idle)

#define DECLARE(name) extern const struct ct_group ct_group_##name;
GROUPS(DECLARE)

#define ADDRESS(name) &ct_group_##name,
const struct ct_group *const ct_groups[] = {GROUPS(ADDRESS)};
const size_t ct_group_count = sizeof ct_groups / sizeof ct_groups[0];

void ct_instance_name(const struct ct_instance *instance, char *out, size_t bytes)
{
    snprintf(out, bytes, "%s%s%s", instance->test->name, instance->by_poll ? " by poll_fd" : "",
             instance->over_ipv6 ? " over IPv6" : "");
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

/* "RT" or "RT-12": no case has capitals in its name. */
static bool is_rule(const char *word)
{
    return is_upper(word[0]) && is_upper(word[1]) && (word[2] == '\0' || word[2] == '-');
}

static bool checks_rule(const struct ct_test *test, const char *word)
{
    for (const char *const *rule = test->rules; *rule != NULL; rule++) {
        bool same = word[2] == '-' ? strcmp(*rule, word) == 0 : strncmp(*rule, word, 2) == 0;
        if (same) {
            return true;
        }
    }
    return false;
}

static bool is_group(const char *word)
{
    for (size_t i = 0; i < ct_group_count; i++) {
        if (strcmp(ct_groups[i]->name, word) == 0) {
            return true;
        }
    }
    return false;
}

bool ct_instance_matches(const struct ct_instance *instance, const char *word)
{
    if (is_rule(word)) {
        return checks_rule(instance->test, word);
    }
    if (is_group(word)) {
        return strcmp(instance->group->name, word) == 0;
    }
    char name[160];
    ct_instance_name(instance, name, sizeof name);
    return strstr(name, word) != NULL || fnmatch(word, name, 0) == 0;
}
