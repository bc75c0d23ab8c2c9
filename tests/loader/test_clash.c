/* SPDX-License-Identifier: MIT */
/* libevent and libev themselves: functions of the same names in both. A program that links libev
 * cannot have the libevent runtime, and is told so; it can have libev's. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char place[512];

static void install(const char *variable, const char *name)
{
    size_t bytes;
    unsigned char *content = loader_read(getenv(variable), &bytes);
    loader_write(loader_path("place/libaioduct-rt-%s.so", name), content, bytes, 0644);
    free(content);
}

static int setup(void **state)
{
    if (loader_setup(state) != 0) {
        return 1;
    }
    snprintf(place, sizeof place, "%s", loader_mkdir("place", 0755));
    install("LOADER_LIBEV", "libev");
    install("LOADER_LIBEVENT", "libevent");
    return 0;
}

/* What the helper @program prints when it asks for @runtime. */
static const char *ask(const char *program, const char *runtime)
{
    static char text[4096];
    char command[1400];
    snprintf(command, sizeof command, "AIODUCT_CONFIG= AIODUCT_PLUGIN_PATH='%s' '%s/%s' '%s'",
             place, getenv("LOADER_PLUGINS"), program, runtime);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    size_t bytes = fread(text, 1, sizeof text - 1, f);
    text[bytes] = '\0';
    int status = pclose(f);
    if (status != 0) {
        fail_msg("%s ended with status %#x: %s", program, status, text);
    }
    return text;
}

static void test_plain(void **state)
{
    (void)state;
    loader_expect_text(ask("loader_helper", "libevent"), "name=libevent ");
    loader_expect_text(ask("loader_helper", "libev"), "name=libev ");
}

static void test_clash(void **state)
{
    (void)state;
    char want[64];
    const char *text = ask("loader_helper_libev", "libevent");
    snprintf(want, sizeof want, "code=%d ", AIODUCT_E_CLASH);
    loader_expect_text(text, want);
    loader_expect_text(text, "cannot use libevent here: event_");
    loader_expect_text(text, "/libev.so");
    loader_expect_text(text, ", already in the program's global scope");
    loader_expect_text(text, "choose the runtime that goes with it, or another.");
}

static void test_ways_out(void **state)
{
    (void)state;
    loader_expect_text(ask("loader_helper_libev", "libev"), "name=libev ");
    loader_expect_text(ask("loader_helper_libev", "libevent,libev"), "name=libev ");
}

static void test_libevent_program(void **state)
{
    (void)state;
    loader_expect_text(ask("loader_helper_libevent", "libevent"), "name=libevent ");
    /* libev calls none of the names that libevent took. */
    loader_expect_text(ask("loader_helper_libevent", "libev"), "name=libev ");
}

int main(void)
{
    static const struct CMUnitTest cases[] = {
        {"a program that links neither may have either", test_plain, NULL, NULL, NULL},
        {"a program that links libev is refused libevent", test_clash, NULL, NULL, NULL},
        {"a program that links libev may have libev, also by a list", test_ways_out, NULL, NULL,
         NULL},
        {"a program that links libevent may have both", test_libevent_program, NULL, NULL, NULL},
    };
    return TAP_RUN(cases, setup, loader_teardown);
}
