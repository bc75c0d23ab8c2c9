/* SPDX-License-Identifier: MIT */
/* A run: which plugin, which cases, a process for each, and what came of it. */
#include "case.h"
#include "process.h"
#include "report.h"

#include <aioduct/plugin/kit.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { JOBS_MAX = 256, SURVEY_SECONDS = 30, TRIES_MAX = 3 };

/* A case that runs. */
struct job {
    struct ct_process process;
    struct ct_report *report; /* shared with it */
    size_t index;
    unsigned long lost; /* ct_connections_lost when it was started */
    unsigned tries;
    bool busy;
};

struct work {
    const struct ct_instance *instance;
    const struct ct_target *plugin, *runtime;
    struct ct_report *report;
};

static struct ct_target plugin, runtime;

static const struct ct_target *runtime_or_null(void)
{
    return runtime.plugin != NULL || runtime.path[0] != '\0' ? &runtime : NULL;
}

/* ---- one case ---- */

static void work(const void *arg)
{
    const struct work *w = arg;
    ct_report_begin(w->report, w->instance->test->rules[0]);
    ct_case_run(w->instance, w->plugin, w->runtime);
}

static void append(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void append(char **text, const char *format, ...)
{
    char *line = NULL, *both = NULL;
    va_list args;
    va_start(args, format);
    if (vasprintf(&line, format, args) < 0) {
        line = NULL;
    }
    va_end(args);
    if (line != NULL && asprintf(&both, "%s%s\n", *text == NULL ? "" : *text, line) >= 0) {
        free(*text);
        *text = both;
    }
    free(line);
}

static const char *or_none(const char *name)
{
    return name == NULL ? "none" : name;
}

/* How the process ended, where that is not how a case ends. -> is it a failure? */
static bool explain_end(struct ct_result *result, const struct job *job)
{
    const struct ct_process *process = &job->process;
    struct ct_report *report = job->report;
    if (process->late) {
        append(&result->text, "no result in %u s", ct_settings.timeout_s);
    } else if (WIFSIGNALED(process->status)) {
        append(&result->text, "the process was ended: %s", strsignal(WTERMSIG(process->status)));
    } else if (WEXITSTATUS(process->status) != 0) {
        append(&result->text, "the process ended with status %d", WEXITSTATUS(process->status));
    } else if (result->verdict == CT_NONE) {
        append(&result->text, "the process ended, but the case did not");
    } else if (result->output != NULL && strstr(result->output, ": runtime error: ") != NULL) {
        append(&result->text, "a sanitizer complains");
        return true;
    } else {
        return false;
    }
    append(&result->text, "last call of the plugin: %s; last callback of the host: %s",
           or_none(atomic_load(&report->call)), or_none(atomic_load(&report->callback)));
    return true;
}

static void take_result(const struct ct_run *run, struct job *job)
{
    struct ct_result *result = &run->results[job->index];
    struct ct_report *report = job->report;
    result->took_ns = ct_clock_ns() - job->process.started_ns;
    result->verdict = (enum ct_verdict)atomic_load(&report->verdict);
    report->text[sizeof report->text - 1] = '\0';
    result->text = strdup(report->text);
    result->output = ct_process_output(&job->process);
    if (result->verdict != CT_FAILED && explain_end(result, job)) {
        result->verdict = CT_FAILED;
        snprintf(report->rule, sizeof report->rule, "%s",
                 run->instances[job->index].test->rules[0]);
    }
    memcpy(result->rule, report->rule, sizeof result->rule);
    if (result->text == NULL) {
        result->text = strdup("");
    }
}

/* Why a case is not to be run; NULL: it is. */
static const char *reason_against(const struct ct_run *run, const struct ct_instance *instance)
{
    static char reason[CT_WHY_BYTES + 64];
    const struct ct_facts *facts = run->facts;
    enum ct_level level = instance->test->level;
    enum ct_loaded needed = level == CT_FROM_FILE     ? CT_LOADED_NOT
                            : level == CT_FROM_PLUGIN ? CT_LOADED_PLUGIN
                                                      : CT_LOADED_TABLES;
    if (facts->loaded < needed) {
        snprintf(reason, sizeof reason, "not run: %.500s", facts->why);
        return reason;
    }
    if (level >= CT_FROM_TABLES && facts->probe.code != 0) {
        snprintf(reason, sizeof reason, "%s cannot run here: %s", facts->name, facts->probe.reason);
        return reason;
    }
    if (level >= CT_FROM_TABLES && facts->open_error[0] != '\0') {
        snprintf(reason, sizeof reason,
                 "the connector does not open: %.450s; the kit sets no options", facts->open_error);
        return reason;
    }
    return NULL;
}

/* ---- all of them ---- */

static void run_without_process(const struct ct_run *run, size_t index, const char *reason,
                                bool fails)
{
    struct ct_result *result = &run->results[index];
    result->verdict = fails ? CT_FAILED : CT_SKIPPED;
    append(&result->text, "%s", reason);
    snprintf(result->rule, sizeof result->rule, "%s", run->instances[index].test->rules[0]);
}

/* -> is it running, or did it come to an end at once? */
static bool start(const struct ct_run *run, struct job *job, size_t index)
{
    const struct ct_instance *instance = &run->instances[index];
    const char *reason = reason_against(run, instance);
    if (reason != NULL) {
        run_without_process(run, index, reason,
                            run->options->must_run &&
                                (run->facts->probe.code != 0 || run->facts->open_error[0] != '\0'));
        return false;
    }
    memset(job->report, 0, sizeof *job->report);
    struct work w = {instance, &plugin, runtime_or_null(), job->report};
    if (ct_process_start(&job->process, ct_settings.timeout_s, work, &w) < 0) {
        run_without_process(run, index, "no process could be made", true);
        return false;
    }
    job->tries = job->index == index ? job->tries + 1 : 1;
    job->lost = ct_connections_lost();
    job->index = index;
    job->busy = true;
    return true;
}

/* A failure while the system was out of memory for connections is tried again. */
static bool is_to_be_repeated(const struct ct_run *run, const struct job *job)
{
    struct ct_result *result = &run->results[job->index];
    if (result->verdict != CT_FAILED || job->tries >= TRIES_MAX ||
        ct_connections_lost() == job->lost) {
        return false;
    }
    free(result->text);
    free(result->output);
    *result = (struct ct_result){.verdict = CT_NONE};
    return true;
}

static void wait_for_one(struct job *jobs, unsigned count)
{
    uint64_t deadline = UINT64_MAX;
    for (unsigned i = 0; i < count; i++) {
        if (jobs[i].busy && jobs[i].process.deadline_ns < deadline) {
            deadline = jobs[i].process.deadline_ns;
        }
    }
    ct_process_wait(deadline);
}

static void run_jobs(const struct ct_run *run, struct job *jobs, unsigned count)
{
    size_t next = 0, told = 0;
    unsigned busy = 0;
    while (told < run->count) {
        for (unsigned i = 0; i < count; i++) {
            while (!jobs[i].busy && next < run->count) {
                busy += start(run, &jobs[i], next++);
            }
        }
        if (busy > 0) {
            wait_for_one(jobs, count);
        }
        for (unsigned i = 0; i < count; i++) {
            if (jobs[i].busy && ct_process_is_over(&jobs[i].process)) {
                take_result(run, &jobs[i]);
                jobs[i].busy =
                    is_to_be_repeated(run, &jobs[i]) && start(run, &jobs[i], jobs[i].index);
                busy -= !jobs[i].busy;
            }
        }
        while (told < run->count && run->results[told].verdict != CT_NONE) {
            ct_report_case(run, told++);
        }
    }
}

static unsigned processors(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set) : 1;
}

/* -> 0, or -1: out of memory */
static int run_cases(const struct ct_run *run)
{
    unsigned count = run->options->jobs != 0 ? run->options->jobs : processors();
    count = count > JOBS_MAX ? JOBS_MAX : count;
    struct job *jobs = calloc(count, sizeof *jobs);
    size_t bytes = count * sizeof(struct ct_report);
    struct ct_report *reports =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int code = -1;
    if (jobs != NULL && reports != MAP_FAILED) {
        for (unsigned i = 0; i < count; i++) {
            jobs[i].report = &reports[i];
            jobs[i].index = SIZE_MAX;
        }
        run_jobs(run, jobs, count);
        code = 0;
    }
    if (reports != MAP_FAILED) {
        munmap(reports, bytes);
    }
    free(jobs);
    return code;
}

/* ---- which cases ---- */

static bool matches_any(const struct ct_instance *instance, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (ct_instance_matches(instance, *words)) {
            return true;
        }
    }
    return false;
}

/* Of a connector alone nothing is asked that its runtime would answer. */
static bool is_about_connector(const struct ct_test *test)
{
    for (const char *const *rule = test->rules; *rule != NULL; rule++) {
        if (strncmp(*rule, "CX", 2) == 0 || strncmp(*rule, "ST", 2) == 0) {
            return true;
        }
    }
    return test->level <= CT_FROM_PLUGIN;
}

static void add(struct ct_run *run, struct ct_instance instance)
{
    const struct aioduct_kit_options *options = run->options;
    if ((options->only != NULL && !matches_any(&instance, options->only)) ||
        (options->skip != NULL && matches_any(&instance, options->skip)) ||
        (run->facts->connector_alone && !is_about_connector(instance.test)) ||
        (options->path == NULL && strcmp(instance.group->name, "file") == 0)) {
        return;
    }
    run->instances[run->count++] = instance;
}

/* -> 0, or -1: out of memory */
static int choose(struct ct_run *run)
{
    size_t room = 0;
    for (size_t i = 0; i < ct_group_count; i++) {
        room += 3 * ct_groups[i]->count;
    }
    run->instances = calloc(room, sizeof *run->instances);
    run->results = calloc(room, sizeof *run->results);
    if (run->instances == NULL || run->results == NULL) {
        return -1;
    }
    bool six = ct_has_ipv6();
    for (size_t i = 0; i < ct_group_count; i++) {
        const struct ct_group *group = ct_groups[i];
        for (int variant = 0; variant < 3; variant++) {
            bool by_poll = variant == 1, over_ipv6 = variant == 2;
            if ((by_poll && (!(group->flags & CT_BY_POLL) || !run->facts->has_poll_fd)) ||
                (over_ipv6 && (!(group->flags & CT_OVER_IPV6) || !six))) {
                continue;
            }
            for (size_t j = 0; j < group->count; j++) {
                add(run, (struct ct_instance){group, &group->tests[j], by_poll, over_ipv6});
            }
        }
    }
    return 0;
}

/* ---- the whole ---- */

static int refuse(const char *what, const char *why)
{
    fprintf(stderr, "aioduct kit: %s: %s\n", what, why);
    return AIODUCT_KIT_NOT_RUN;
}

static bool take_target(struct ct_target *target, const char *path,
                        const struct aioduct_plugin *linked)
{
    memset(target, 0, sizeof *target);
    target->plugin = linked;
    return linked != NULL || path == NULL ||
           snprintf(target->path, sizeof target->path, "%s", path) < (int)sizeof target->path;
}

/* The runtime under a connector must be good itself. -> is it? */
static bool check_runtime(void)
{
    if (runtime_or_null() == NULL) {
        return true;
    }
    const struct ct_facts *facts = ct_survey(&runtime, NULL, SURVEY_SECONDS);
    if (facts == NULL || facts->loaded < CT_LOADED_TABLES || facts->probe.code != 0) {
        refuse(runtime.plugin != NULL ? runtime.plugin->name : runtime.path,
               facts == NULL                      ? "no process could be made"
               : facts->loaded < CT_LOADED_TABLES ? facts->why
                                                  : facts->probe.reason);
        return false;
    }
    return true;
}

static int conclude(const struct ct_run *run)
{
    bool failed = false;
    for (size_t i = 0; i < run->count; i++) {
        failed = failed || run->results[i].verdict == CT_FAILED;
    }
    if (failed) {
        return AIODUCT_KIT_FAILED;
    }
    if (run->facts->loaded < CT_LOADED_TABLES || run->facts->probe.code != 0) {
        return run->options->format == AIODUCT_KIT_TAP && run->facts->loaded == CT_LOADED_TABLES
                   ? AIODUCT_KIT_PASSED
                   : AIODUCT_KIT_NOT_RUN;
    }
    return run->facts->open_error[0] != '\0' ? AIODUCT_KIT_NOT_RUN : AIODUCT_KIT_PASSED;
}

static int run_chosen(struct ct_run *run)
{
    const struct aioduct_kit_options *options = run->options;
    if (options->format == AIODUCT_KIT_LIST) {
        ct_report_list(run);
        return AIODUCT_KIT_PASSED;
    }
    ct_report_head(run);
    uint64_t start_ns = ct_clock_ns();
    if (run_cases(run) < 0) {
        return refuse(run->subject, "out of memory");
    }
    run->took_ns = ct_clock_ns() - start_ns;
    ct_report_end(run);
    if (options->junit_path != NULL) {
        int code = ct_report_junit(run, options->junit_path);
        if (code < 0) {
            return refuse(options->junit_path, strerror(-code));
        }
    }
    return conclude(run);
}

static int survey_and_run(struct ct_run *run)
{
    if (!check_runtime()) {
        return AIODUCT_KIT_NOT_RUN;
    }
    run->facts = ct_survey(&plugin, runtime_or_null(), SURVEY_SECONDS);
    if (run->facts == NULL) {
        return refuse(run->subject, "no process could be made");
    }
    if (run->facts->connector_alone && runtime_or_null() == NULL) {
        return refuse(run->subject, run->facts->why);
    }
    int code = choose(run) < 0   ? refuse(run->subject, "out of memory")
               : run->count == 0 ? refuse(run->subject, "no case matches; --list shows them")
                                 : run_chosen(run);
    for (size_t i = 0; run->results != NULL && i < run->count; i++) {
        free(run->results[i].text);
        free(run->results[i].output);
    }
    free(run->results);
    free(run->instances);
    return code;
}

int aioduct_kit_run(const struct aioduct_kit_options *given)
{
    /* A program that was built against a shorter struct has zeros in the rest. */
    struct aioduct_kit_options options = AIODUCT_KIT_OPTIONS_INIT;
    memcpy(&options, given, given->size < sizeof options ? given->size : sizeof options);
    if ((options.path == NULL) == (options.plugin == NULL)) {
        return refuse("options", "either a path or a plugin that is linked in");
    }
    if (!take_target(&plugin, options.path, options.plugin) ||
        !take_target(&runtime, options.runtime_path, options.runtime_plugin)) {
        return refuse("options", "the path is too long");
    }
    if (options.path != NULL && options.path[0] != '/') {
        return refuse(options.path, "its path is not absolute");
    }
    if (options.path != NULL && access(options.path, R_OK) != 0) {
        return refuse(options.path, strerror(errno));
    }
    ct_settings = (struct ct_settings){
        .seed = options.seed != 0 ? options.seed : 1,
        .scale_percent = options.scale_percent != 0 ? options.scale_percent : 100,
        .timeout_s = options.timeout_s != 0 ? options.timeout_s : 60,
    };
    struct ct_run run = {.options = &options,
                         .subject = options.path != NULL ? options.path : "built in"};
    ct_processes_begin();
    int code = survey_and_run(&run);
    ct_processes_end();
    return code;
}
