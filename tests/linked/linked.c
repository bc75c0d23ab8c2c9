/* SPDX-License-Identifier: MIT */
/* Plugins that are linked into the program: registered, chosen by name, and a page fetched on each.
 * LINKED lists them: LINKED(X) = X(libev) X(uring) ...; CLASHING, if it is there, is one that
 * cannot be used beside what the program is linked with. */
#include "tap.h"

#include <aioduct/aioduct.h>
#include <aioduct/plugin/plugin.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DECLARE(name) extern const struct aioduct_plugin aioduct_plugin_##name;
LINKED(DECLARE)

#define ROW(name) &aioduct_plugin_##name,
static const struct aioduct_plugin *const plugins[] = {LINKED(ROW)};
enum { COUNT = sizeof plugins / sizeof plugins[0] };

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

/* ---- a server of one answer a connection ---- */

static int listener = -1;
static char url[64];

static void *serve(void *arg)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    char request[4096];
    int fd;
    (void)arg;
    while ((fd = accept(listener, NULL, NULL)) >= 0) {
        while (read(fd, request, sizeof request) > 0 &&
               write(fd, answer, sizeof answer - 1) == sizeof answer - 1) {
        }
        close(fd);
    }
    return NULL;
}

static pthread_t server;

static int setup(void **state)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof in;
    (void)state;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&in, sizeof in) < 0 || listen(listener, 8) < 0 ||
        getsockname(listener, (struct sockaddr *)&in, &bytes) < 0) {
        return 1;
    }
    snprintf(url, sizeof url, "http://127.0.0.1:%d/", ntohs(in.sin_port));
    setenv("AIODUCT_CONFIG", "", 1);
    unsetenv("AIODUCT_RUNTIME");
    unsetenv("AIODUCT_PLUGIN_PATH");
    return pthread_create(&server, NULL, serve, NULL);
}

static int teardown(void **state)
{
    (void)state;
    shutdown(listener, SHUT_RDWR);
    close(listener);
    return pthread_join(server, NULL);
}

/* ---- cases ---- */

static bool clashes(const struct aioduct_plugin *plugin)
{
#ifdef CLASHING
    return strcmp(plugin->name, TEXT(CLASHING)) == 0;
#else
    (void)plugin;
    return false;
#endif
}

static void test_register(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        struct aioduct_error error = {0};
        int code = aioduct_runtime_register(plugins[i], &error);
        if (clashes(plugins[i])) {
            assert_int_equal(code, AIODUCT_E_CLASH);
            assert_non_null(strstr(error.message, "cannot use " TEXT(CLASHING) " here: "));
            continue;
        }
        if (code != 0) {
            tap_fail("%s: %s", plugins[i]->name, error.message);
        }
        assert_int_equal(aioduct_runtime_register(plugins[i], &error), -EEXIST);
    }
}

static int on_runtime(const struct aioduct_runtime_info *info, void *user)
{
    unsigned *found = user;
    for (size_t i = 0; i < COUNT; i++) {
        if (strcmp(info->name, plugins[i]->name) == 0 && strcmp(info->origin, "registered") == 0) {
            *found |= 1u << i;
        }
    }
    return 0;
}

static void test_listed(void **state)
{
    (void)state;
    unsigned found = 0, want = 0;
    struct aioduct_error error = {0};
    assert_int_equal(aioduct_runtime_list(1, on_runtime, &found, &error), 0);
    for (size_t i = 0; i < COUNT; i++) {
        want |= clashes(plugins[i]) ? 0 : 1u << i;
    }
    assert_int_equal(found, want);
}

static void test_fetch(void **state)
{
    const struct aioduct_plugin *plugin = *state;
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_client *client = NULL;
    struct aioduct_error error = {0};
    options.runtime = plugin->name;
    int code = aioduct_client_create(&options, &client, &error);
    if (code == AIODUCT_E_UNAVAILABLE) {
        tap_skip("%s", error.message);
    }
    if (clashes(plugin)) {
        assert_int_equal(code, AIODUCT_E_PLUGIN_NOT_FOUND);
        return;
    }
    if (code != 0) {
        tap_fail("%s", error.message);
    }
    assert_string_equal(aioduct_client_runtime(client), plugin->name);
    assert_string_equal(aioduct_client_runtime_origin(client), "registered");
    for (int i = 0; i < 3; i++) {
        struct aioduct_response *response = NULL;
        size_t bytes;
        code = aioduct_get(client, url, &response, &error);
        if (code != 0) {
            tap_fail("%s: %s", plugin->name, error.message);
        }
        assert_int_equal(aioduct_response_status(response), 200);
        assert_string_equal((const char *)aioduct_response_body(response, &bytes), "hello");
        aioduct_response_destroy(response);
    }
    assert_int_equal(aioduct_client_destroy(client), 0);
}

static void test_too_late(void **state)
{
    (void)state;
    struct aioduct_error error = {0};
    assert_int_equal(aioduct_runtime_register(plugins[0], &error),
                     clashes(plugins[0]) ? AIODUCT_E_CLASH : AIODUCT_E_TOO_LATE);
}

int main(void)
{
    static char names[COUNT][64];
    struct CMUnitTest cases[COUNT + 3] = {
        {"what is linked in is registered once", test_register, NULL, NULL, NULL},
        {"what is registered is listed", test_listed, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "%s, linked in, %s", plugins[i]->name,
                 clashes(plugins[i]) ? "is refused" : "fetches a page");
        cases[2 + i] =
            (struct CMUnitTest){names[i], test_fetch, NULL, NULL, (void *)(uintptr_t)plugins[i]};
    }
    cases[COUNT + 2] = (struct CMUnitTest){"after the first client it is too late", test_too_late,
                                           NULL, NULL, NULL};
    return TAP_RUN(cases, setup, teardown);
}
