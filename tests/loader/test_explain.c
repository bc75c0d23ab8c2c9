/* SPDX-License-Identifier: MIT */
/* aioduct_plugin_inspect and aioduct_runtime_explain, as a program calls them. What they say of
 * files and words is checked through the command. */
#include "support.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[128];

static int setup(void **state)
{
    if (loader_setup(state) != 0) {
        return 1;
    }
    strcpy(folder, loader_mkdir("folder", 0755));
    loader_install("good", folder);
    loader_install("oldmajor", folder);
    loader_install("unavailable", folder);
    return 0;
}

static void in_child(void (*body)(struct loader_outcome *out, const void *user))
{
    struct loader_outcome got;
    loader_in_child(&(struct loader_run){.path = folder}, body, NULL, &got);
    assert_int_equal(got.code, 0);
}

/* ---- inspect ---- */

static void inspect_registered(struct loader_outcome *out, const void *user)
{
    struct aioduct_plugin_inspection seen = {.size = sizeof seen};
    (void)user;
    MUST(aioduct_runtime_register(&aioduct_plugin_good, NULL) == 0);
    out->code = aioduct_plugin_inspect("good", &seen, &out->error);
    MUST(strcmp(seen.origin, "registered") == 0 && strcmp(seen.name, "good") == 0);
    MUST(seen.version[0] != '\0' && strcmp(seen.abi_needed, "1.0") == 0);
}

static void test_registered(void **state)
{
    (void)state;
    in_child(inspect_registered);
}

static void inspect_old(struct loader_outcome *out, const void *user)
{
    struct aioduct_plugin_inspection seen = {.size = sizeof seen};
    (void)user;
    out->code = aioduct_plugin_inspect("oldmajor", &seen, &out->error);
    MUST(strcmp(seen.abi, "0.3") == 0 && seen.name[0] == '\0' && seen.abi_needed[0] == '\0');
    MUST(seen.place.code == 0 && seen.content.code == AIODUCT_E_PLUGIN_ABI);
}

static void test_old(void **state)
{
    (void)state;
    in_child(inspect_old);
}

/* A program built when the struct ended after its name. */
static void inspect_older_program(struct loader_outcome *out, const void *user)
{
    struct aioduct_plugin_inspection seen;
    const size_t size = offsetof(struct aioduct_plugin_inspection, abi);
    (void)user;
    memset(&seen, 'x', sizeof seen);
    seen.size = size;
    out->code = aioduct_plugin_inspect("good", &seen, NULL);
    MUST(seen.size == size && strcmp(seen.name, "good") == 0 && seen.abi[0] == 'x');
    seen.size = 0;
    MUST(aioduct_plugin_inspect("good", &seen, NULL) == -EINVAL);
    MUST(aioduct_plugin_inspect("good", NULL, NULL) == -EINVAL);
    seen.size = sizeof seen;
    MUST(aioduct_plugin_inspect(NULL, &seen, NULL) == -EINVAL);
    seen.name[0] = 'y';
    MUST(aioduct_plugin_inspect("nonesuch", &seen, NULL) == AIODUCT_E_PLUGIN_NOT_FOUND);
    MUST(seen.name[0] == 'y');
}

static void test_older_program(void **state)
{
    (void)state;
    in_child(inspect_older_program);
}

/* ---- explain ---- */

enum { TOLD_BYTES = 2048 };

static void on_candidate(const struct aioduct_runtime_info *info, void *user)
{
    char *told = user;
    size_t used = strlen(told);
    snprintf(told + used, TOLD_BYTES - used, "%s|%d|%s|%s\n", info->name, (int)info->status,
             info->version, info->reason);
}

static void on_unheeded(const char *source, const char *what, void *user)
{
    char *told = user;
    size_t used = strlen(told);
    snprintf(told + used, TOLD_BYTES - used, "%s|%s\n", source, what);
}

static void explain_unheeded(struct loader_outcome *out, const void *user)
{
    char told[TOLD_BYTES] = "", path[PATH_MAX + 16];
    struct aioduct_runtime_explainer explainer = {.size = sizeof explainer,
                                                  .on_unheeded = on_unheeded};
    struct aioduct_runtime_selection chosen = {.size = sizeof chosen};
    (void)user;
    snprintf(path, sizeof path, "/nonexistent:%s", getenv("AIODUCT_PLUGIN_PATH"));
    setenv("AIODUCT_PLUGIN_PATH", path, 1);
    out->code = aioduct_runtime_explain("good", &explainer, told, &chosen, &out->error);
    MUST(strcmp(told, "AIODUCT_PLUGIN_PATH|/nonexistent: No such file or directory\n") == 0);

    /* One built before it had that member hears nothing. */
    told[0] = '\0';
    explainer.size = offsetof(struct aioduct_runtime_explainer, on_unheeded);
    MUST(aioduct_runtime_explain("good", &explainer, told, &chosen, NULL) == 0);
    MUST(told[0] == '\0');
}

static void test_unheeded(void **state)
{
    (void)state;
    in_child(explain_unheeded);
}

static void explain(struct loader_outcome *out, const void *user)
{
    char told[TOLD_BYTES] = "";
    struct aioduct_runtime_explainer explainer = {.size = sizeof explainer,
                                                  .on_candidate = on_candidate};
    struct aioduct_runtime_selection chosen = {.size = sizeof chosen};
    (void)user;
    out->code =
        aioduct_runtime_explain("unavailable,good,epoll", &explainer, told, &chosen, &out->error);
    MUST(strcmp(chosen.name, "good") == 0);
    MUST(strstr(told, "unavailable|1|") == told);
    MUST(strstr(told, "no wheel: ENOENT\ngood|0|") != NULL);
    MUST(strstr(told, "epoll") == NULL); /* was not tried */

    /* One built before it had on_candidate is called nowhere; one without a size is a mistake. */
    told[0] = '\0';
    explainer.size = offsetof(struct aioduct_runtime_explainer, on_candidate);
    MUST(aioduct_runtime_explain("good", &explainer, told, &chosen, NULL) == 0);
    MUST(told[0] == '\0');
    explainer.size = 0;
    MUST(aioduct_runtime_explain("good", &explainer, told, &chosen, NULL) == -EINVAL);
    MUST(aioduct_runtime_explain("good", NULL, out, &chosen, NULL) == -EINVAL);
}

static void test_explain(void **state)
{
    (void)state;
    in_child(explain);
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"what is registered is inspected by its name", test_registered, NULL, NULL, NULL},
        {"of a note of another major the ABI is told", test_old, NULL, NULL, NULL},
        {"an inspection fills no more than the program has", test_older_program, NULL, NULL, NULL},
        {"each candidate up to the chosen one is told", test_explain, NULL, NULL, NULL},
        {"what is set in vain is told to who asks", test_unheeded, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, setup, loader_teardown);
}
