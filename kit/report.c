/* SPDX-License-Identifier: MIT */
#include "report.h"
#include "rules.h"
#include "settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_tap(const struct ct_run *run)
{
    return run->options->format == AIODUCT_KIT_TAP;
}

/* Each line of @text behind @prefix; bytes that are not legal in a report in hexadecimal. */
static void print_lines(FILE *out, const char *first, const char *prefix, const char *text)
{
    for (const char *line = text; line != NULL && *line != '\0';) {
        size_t bytes = strcspn(line, "\n");
        fputs(line == text ? first : prefix, out);
        for (size_t i = 0; i < bytes; i++) {
            unsigned char c = (unsigned char)line[i];
            fprintf(out, c >= 0x20 && c < 0x7f ? "%c" : "\\x%02x", c);
        }
        putc('\n', out);
        line += bytes + (line[bytes] == '\n');
    }
}

static void print_rules(FILE *out, const struct ct_test *test)
{
    for (const char *const *rule = test->rules; *rule != NULL; rule++) {
        fprintf(out, "%s%s", rule == test->rules ? "" : ",", *rule);
    }
}

/* Rule, sentence, what was seen, and where to read: a line each. */
static void print_failure(FILE *out, const struct ct_run *run, size_t index, const char *margin)
{
    const struct ct_result *result = &run->results[index];
    const struct ct_rule *rule = ct_rule_find(result->rule);
    char name[160], first[32], rest[32];
    ct_instance_name(&run->instances[index], name, sizeof name);
    if (rule != NULL) {
        fprintf(out, "%srule    %s: %s\n", margin, rule->number, rule->text);
        fprintf(out, "%sbroken  %s\n", margin, rule->if_broken);
    }
    snprintf(first, sizeof first, "%sseen    ", margin);
    snprintf(rest, sizeof rest, "%s        ", margin);
    print_lines(out, first, rest, result->text);
    snprintf(first, sizeof first, "%sprinted ", margin);
    print_lines(out, first, rest, result->output);
    fprintf(out, "%sread    aioduct-plugin(7), %s\n", margin, result->rule);
    fprintf(out, "%sagain   --only '%s' --seed %llu\n", margin, name,
            (unsigned long long)ct_settings.seed);
}

/* ---- for people, and TAP ---- */

void ct_report_head(const struct ct_run *run)
{
    const struct ct_facts *facts = run->facts;
    const char *margin = is_tap(run) ? "# " : "";
    if (is_tap(run)) {
        printf("TAP version 13\n1..%zu\n", run->count);
    }
    printf("%s%s: %s %s, ABI %d.%u, %s\n", margin, run->subject,
           facts->name[0] == '\0' ? "-" : facts->name, facts->version, AIODUCT_ABI_MAJOR,
           facts->abi_minor, facts->capabilities[0] == '\0' ? "-" : facts->capabilities);
    printf("%s%zu cases, seed %llu\n", margin, run->count, (unsigned long long)ct_settings.seed);
    fflush(stdout);
}

static void tap_case(const struct ct_run *run, size_t index)
{
    const struct ct_result *result = &run->results[index];
    char name[160];
    ct_instance_name(&run->instances[index], name, sizeof name);
    printf("%s %zu - %s", result->verdict == CT_FAILED ? "not ok" : "ok", index + 1, name);
    if (result->verdict == CT_SKIPPED) {
        printf(" # SKIP %.*s", (int)strcspn(result->text, "\n"), result->text);
    }
    putchar('\n');
    if (result->verdict == CT_FAILED) {
        print_failure(stdout, run, index, "# ");
    }
}

static void text_case(const struct ct_run *run, size_t index)
{
    const struct ct_result *result = &run->results[index];
    char name[160];
    ct_instance_name(&run->instances[index], name, sizeof name);
    if (result->verdict == CT_FAILED) {
        printf("\nFAILED  %s  %s\n", result->rule, name);
        print_failure(stdout, run, index, "        ");
    } else if (run->options->format == AIODUCT_KIT_VERBOSE) {
        fputs(result->verdict == CT_SKIPPED ? "skipped " : "passed  ", stdout);
        print_rules(stdout, run->instances[index].test);
        printf("  %s", name);
        if (result->verdict == CT_SKIPPED) {
            printf(": %.*s", (int)strcspn(result->text, "\n"), result->text);
        }
        putchar('\n');
    }
}

void ct_report_case(const struct ct_run *run, size_t index)
{
    if (is_tap(run)) {
        tap_case(run, index);
    } else {
        text_case(run, index);
    }
    fflush(stdout);
}

static size_t count_of(const struct ct_run *run, enum ct_verdict verdict)
{
    size_t count = 0;
    for (size_t i = 0; i < run->count; i++) {
        count += run->results[i].verdict == verdict;
    }
    return count;
}

/* Did an earlier case say the same? */
static bool is_repeated(const struct ct_run *run, size_t index, enum ct_verdict verdict)
{
    const struct ct_result *result = &run->results[index];
    for (size_t i = 0; i < index; i++) {
        const struct ct_result *other = &run->results[i];
        if (other->verdict == verdict &&
            (verdict == CT_FAILED ? strcmp(other->rule, result->rule) == 0
                                  : strcmp(other->text, result->text) == 0)) {
            return true;
        }
    }
    return false;
}

static void print_skips(const struct ct_run *run, const char *margin)
{
    for (size_t i = 0; i < run->count; i++) {
        if (run->results[i].verdict != CT_SKIPPED || is_repeated(run, i, CT_SKIPPED)) {
            continue;
        }
        unsigned same = 0;
        for (size_t j = i; j < run->count; j++) {
            same += run->results[j].verdict == CT_SKIPPED &&
                    strcmp(run->results[j].text, run->results[i].text) == 0;
        }
        printf("%sskipped %u: %.*s\n", margin, same, (int)strcspn(run->results[i].text, "\n"),
               run->results[i].text);
    }
}

void ct_report_end(const struct ct_run *run)
{
    const char *margin = is_tap(run) ? "# " : "";
    size_t failed = count_of(run, CT_FAILED);
    if (!is_tap(run)) {
        putchar('\n');
        print_skips(run, margin);
    }
    if (failed > 0) {
        printf("%sbroken:", margin);
        for (size_t i = 0; i < run->count; i++) {
            if (run->results[i].verdict == CT_FAILED && !is_repeated(run, i, CT_FAILED)) {
                printf(" %s", run->results[i].rule);
            }
        }
        putchar('\n');
    }
    printf("%s%zu passed, %zu failed, %zu skipped (%.1f s)\n", margin, count_of(run, CT_PASSED),
           failed, count_of(run, CT_SKIPPED), (double)run->took_ns / 1e9);
    fflush(stdout);
}

void ct_report_list(const struct ct_run *run)
{
    for (size_t i = 0; i < run->count; i++) {
        char name[160];
        ct_instance_name(&run->instances[i], name, sizeof name);
        printf("%-9s ", run->instances[i].group->name);
        print_rules(stdout, run->instances[i].test);
        printf("  %s\n", name);
    }
}

/* ---- JUnit ---- */

static void print_xml(FILE *out, const char *text)
{
    for (; text != NULL && *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        switch (c) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        case '\n':
            fputs("&#10;", out);
            break;
        default:
            fprintf(out, c >= 0x20 && c < 0x7f ? "%c" : "\\x%02x", c);
        }
    }
}

static void junit_case(FILE *out, const struct ct_run *run, size_t index)
{
    const struct ct_result *result = &run->results[index];
    const struct ct_rule *rule = ct_rule_find(result->rule);
    char name[160];
    ct_instance_name(&run->instances[index], name, sizeof name);
    fprintf(out, "  <testcase classname=\"%s\" name=\"%s\" time=\"%.3f\"",
            run->instances[index].group->name, name, (double)result->took_ns / 1e9);
    if (result->verdict == CT_FAILED) {
        fprintf(out, "><failure type=\"%s\" message=\"", result->rule);
        print_xml(out, rule == NULL ? "" : rule->text);
        fputs("\">", out);
        print_xml(out, result->text);
        print_xml(out, result->output);
        fputs("</failure></testcase>\n", out);
    } else if (result->verdict == CT_SKIPPED) {
        fputs("><skipped message=\"", out);
        print_xml(out, result->text);
        fputs("\"/></testcase>\n", out);
    } else {
        fputs("/>\n", out);
    }
}

int ct_report_junit(const struct ct_run *run, const char *path)
{
    FILE *out = fopen(path, "we");
    if (out == NULL) {
        return -errno;
    }
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n <testsuite name=\"", out);
    print_xml(out, run->facts->name[0] == '\0' ? run->subject : run->facts->name);
    fprintf(out, "\" tests=\"%zu\" failures=\"%zu\" skipped=\"%zu\" time=\"%.3f\">\n", run->count,
            count_of(run, CT_FAILED), count_of(run, CT_SKIPPED), (double)run->took_ns / 1e9);
    for (size_t i = 0; i < run->count; i++) {
        junit_case(out, run, i);
    }
    fputs(" </testsuite>\n</testsuites>\n", out);
    return fclose(out) == 0 ? 0 : -errno;
}
