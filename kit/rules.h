/* SPDX-License-Identifier: MIT */
/**
 * rules.h - the rules of docs/CONTRACT.md, word for word: kit/index.py makes the table.
 */
#ifndef CT_RULES_H
#define CT_RULES_H

#include <stddef.h>

struct ct_rule {
    const char *number;    /* "RT-12" */
    const char *text;      /* what is to be kept */
    const char *if_broken; /* and what happens else */
};
extern const struct ct_rule ct_rules[];
extern const size_t ct_rule_count;

/* -> NULL if there is none of this number */
const struct ct_rule *ct_rule_find(const char *number);

#endif
