/* SPDX-License-Identifier: MIT */
/* What the readiness helpers say of operations that are not whole. */
#include <aioduct/plugin/readiness.h>

#include <errno.h>
#include <stdio.h>
#include <tap.h>

static char said[128];

static void on_error(void *ctx, int code, const char *message)
{
    (void)ctx;
    assert_int_equal(code, -EINVAL);
    snprintf(said, sizeof said, "%s", message);
}

static int watch(struct aioduct_watch *w, unsigned events)
{
    (void)w;
    (void)events;
    return 0;
}

static int run(void *rt, uint64_t deadline_ns)
{
    (void)rt;
    (void)deadline_ns;
    return 0;
}

static int may_drive(void *rt)
{
    (void)rt;
    return 0;
}

static void arm(void *rt, uint64_t deadline_ns)
{
    (void)rt;
    (void)deadline_ns;
}

static void refused(const struct aioduct_readiness_ops *ops, const char *what)
{
    static struct aioduct_readiness rt;
    char expected[128];
    const struct aioduct_host host = {.size = sizeof host, .error = on_error};
    said[0] = '\0';
    assert_int_equal(aioduct_readiness_open(&rt, ops, NULL, &host), -EINVAL);
    snprintf(expected, sizeof expected, "aioduct_readiness_open: in ops, %s", what);
    assert_string_equal(said, expected);
}

static void the_member_that_is_missing_is_named(void **state)
{
    struct aioduct_readiness_ops ops = {.size = sizeof ops, .watch = watch, .run = run};
    (void)state;
    ops.run = NULL;
    refused(&ops, "run is missing");
    ops.run = run;
    ops.watch = NULL;
    refused(&ops, "watch is missing");
    ops.watch = watch;
    ops.arm = arm;
    refused(&ops, "arm is there without may_drive");
    ops.arm = NULL;
    ops.may_drive = may_drive;
    refused(&ops, "may_drive is there without arm");
    ops.size = 0;
    refused(&ops, "size is not set, or too small");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        {"the member that is missing is named", the_member_that_is_missing_is_named, NULL, NULL,
         NULL},
    };
    return TAP_RUN(tests, NULL, NULL);
}
