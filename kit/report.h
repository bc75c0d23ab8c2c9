/* SPDX-License-Identifier: MIT */
/**
 * report.h - results, for people, as TAP, and as JUnit's XML.
 */
#ifndef CT_REPORT_H
#define CT_REPORT_H

#include "check.h"
#include "suite.h"
#include "survey.h"

#include <aioduct/plugin/kit.h>

struct ct_result {
    enum ct_verdict verdict;
    char rule[CT_RULE_BYTES]; /* of a failure */
    char *text;               /* what was seen, or why it was skipped; lines */
    char *output;             /* what the case printed */
    uint64_t took_ns;
};

struct ct_run {
    const struct aioduct_kit_options *options;
    const struct ct_facts *facts;
    const char *subject; /* path, or "built in" */
    struct ct_instance *instances;
    struct ct_result *results;
    size_t count;
    uint64_t took_ns;
};

void ct_report_head(const struct ct_run *run);
/* The results are told in the order of the cases, each as soon as those before it are there. */
void ct_report_case(const struct ct_run *run, size_t index);
void ct_report_end(const struct ct_run *run);
/* -> 0 or -errno */
int ct_report_junit(const struct ct_run *run, const char *path);
/* What would run. */
void ct_report_list(const struct ct_run *run);

#endif
