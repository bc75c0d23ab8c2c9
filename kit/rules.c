/* SPDX-License-Identifier: MIT */
#include "rules.h"

#include <string.h>

const struct ct_rule *ct_rule_find(const char *number)
{
    for (size_t i = 0; i < ct_rule_count; i++) {
        if (strcmp(ct_rules[i].number, number) == 0) {
            return &ct_rules[i];
        }
    }
    return NULL;
}
