/* SPDX-License-Identifier: MIT */
#include "survey.h"
#include "check.h"
#include "host.h"
#include "process.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

static struct ct_facts *facts; /* shared with the child */
static struct ct_facts copy_of_facts;

struct question {
    const struct ct_target *plugin, *runtime;
};

/* ---- in the child ---- */

static void *plain_alloc(void *ctx, void *old, size_t bytes, size_t align)
{
    (void)ctx;
    if (bytes == 0) {
        free(old);
        return NULL;
    }
    void *fresh = NULL;
    if (old != NULL || align <= sizeof(max_align_t)) {
        return realloc(old, bytes);
    }
    return posix_memalign(&fresh, align, bytes) == 0 ? fresh : NULL;
}

static void no_log(void *ctx, int level, const char *message)
{
    (void)ctx;
    (void)level;
    (void)message;
}

static const char *no_option(void *ctx, const char *key)
{
    (void)ctx;
    (void)key;
    return NULL;
}

static void probe(const struct aioduct_plugin *plugin)
{
    const struct aioduct_host host = {
        .size = sizeof host,
        .abi_major = AIODUCT_ABI_MAJOR,
        .abi_minor = AIODUCT_ABI_MINOR,
        .alloc = plain_alloc,
        .log = no_log,
        .error = no_log,
        .option = no_option,
    };
    struct aioduct_probe answer = {.size = sizeof answer};
    if (plugin->probe != NULL) {
        plugin->probe(&host, &answer);
    }
    facts->probe = answer;
    facts->probe.reason[sizeof answer.reason - 1] = '\0';
    facts->probe.hint[sizeof answer.hint - 1] = '\0';
}

static void add(const char *word, bool there)
{
    if (there) {
        size_t bytes = strlen(facts->capabilities);
        snprintf(facts->capabilities + bytes, sizeof facts->capabilities - bytes, "%s%s",
                 bytes == 0 ? "" : ",", word);
    }
}

/* One that needs an option is not wrong in each case that opens it: there is none that could be. */
static void open_once(void)
{
    static struct ct_report report;
    static struct ct_rig rig;
    ct_report_begin(&report, "RT-1");
    ct_rig_init(&rig);
    int code = ct_rig_open(&rig);
    const char *call = atomic_load(&report.call);
    if (code == 0) {
        ct_rig_close(&rig);
    } else if (code < 0 && call != NULL &&
               strcmp(call, "close") == 0) { /* its runtime had opened */
        snprintf(facts->open_error, sizeof facts->open_error, "%.400s", rig.error_text);
    }
}

static void look(const void *arg)
{
    const struct question *question = arg;
    char why[CT_WHY_BYTES];
    snprintf(facts->why, sizeof facts->why, "it ended the process when it was loaded");
    enum ct_loaded loaded = ct_subject_load(question->plugin, question->runtime, why);
    if (loaded < CT_LOADED_PLUGIN) {
        facts->loaded = loaded;
        memcpy(facts->why, why, sizeof why);
        return;
    }
    const struct ct_subject *subject = ct_subject();
    const struct aioduct_plugin *plugin = subject->plugin;
    snprintf(facts->name, sizeof facts->name, "%s", plugin->name);
    snprintf(facts->version, sizeof facts->version, "%s",
             plugin->version == NULL ? "" : plugin->version);
    facts->abi_minor = plugin->abi_minor_built;
    facts->connector_alone = subject->connector_alone;
    add("runtime", !subject->connector_alone && subject->rt != NULL);
    add("poll", !subject->connector_alone && subject->poll != NULL);
    add("local", !subject->connector_alone && subject->local != NULL);
    add("connector", subject->cx != NULL);
    facts->has_poll_fd =
        subject->rt != NULL && subject->rt->turn != NULL && subject->rt->poll_fd != NULL;
    snprintf(facts->why, sizeof facts->why, "it ended the process in its probe");
    facts->loaded = CT_LOADED_PLUGIN;
    facts->probe.code = AIODUCT_E_UNAVAILABLE;
    probe(plugin);
    memcpy(facts->why, why, sizeof why);
    facts->loaded = loaded;
    if (facts->connector_alone && loaded == CT_LOADED_TABLES && facts->probe.code == 0) {
        open_once();
    }
}

/* ---- in the runner ---- */

const struct ct_facts *ct_survey(const struct ct_target *plugin, const struct ct_target *runtime,
                                 unsigned timeout_s)
{
    facts = mmap(NULL, sizeof *facts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (facts == MAP_FAILED) {
        return NULL;
    }
    struct question question = {plugin, runtime};
    struct ct_process process;
    if (ct_process_start(&process, timeout_s, look, &question) < 0) {
        munmap(facts, sizeof *facts);
        return NULL;
    }
    while (!ct_process_is_over(&process)) {
        ct_process_wait(process.deadline_ns);
    }
    free(ct_process_output(&process));
    copy_of_facts = *facts;
    munmap(facts, sizeof *facts);
    facts = NULL;
    if (process.late || WIFSIGNALED(process.status)) {
        size_t bytes = strlen(copy_of_facts.why);
        snprintf(copy_of_facts.why + bytes, sizeof copy_of_facts.why - bytes, ": %s",
                 process.late ? "it did not come back" : strsignal(WTERMSIG(process.status)));
    }
    return &copy_of_facts;
}
