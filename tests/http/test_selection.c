/* SPDX-License-Identifier: MIT */
/* One program, linked once, on every runtime: moved by the environment alone, or by a configuration
 * file alone. Each choice runs in a process of its own, which then looks at its own memory map: of
 * all plugin files only the chosen one may be there. */
#include "tester.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_UNAVAILABLE 3

/* ---- the child: any program ---- */

static int child(const char *url)
{
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    struct aioduct_client *client = NULL;
    struct aioduct_request *request = NULL;
    struct aioduct_response *response = NULL;
    struct aioduct_error error = {0};
    int code = aioduct_client_create(&options, &client, &error);
    if (code == 0) {
        code = aioduct_request_create("GET", url, &request, &error);
    }
    if (code == 0) {
        code = aioduct_client_fetch(client, request, &response, &error);
    }
    if (code == 0) {
        size_t count = 0;
        printf("body %s\nruntime %s\norigin %s\n",
               (const char *)aioduct_response_body(response, &count),
               aioduct_client_runtime(client), aioduct_client_runtime_origin(client));
        char *maps = test_file_read("/proc/self/maps", NULL);
        printf("%s", maps != NULL ? maps : "");
        free(maps);
    } else {
        printf("error %s: %s; %s\n", aioduct_error_name(code), error.message, error.hint);
    }
    aioduct_response_destroy(response);
    aioduct_request_destroy(request);
    aioduct_client_destroy(client);
    return code == 0 ? 0 : code == AIODUCT_E_UNAVAILABLE ? EXIT_UNAVAILABLE : 1;
}

/* ---- what is installed ---- */

struct installed {
    char names[16][40];
    char origins[16][512];
    int count;
};

static struct installed installed;

static int on_runtime(const struct aioduct_runtime_info *info, void *user)
{
    struct installed *all = user;
    if (all->count < 16) {
        snprintf(all->names[all->count], sizeof all->names[0], "%s", info->name);
        snprintf(all->origins[all->count], sizeof all->origins[0], "%s", info->origin);
        all->count++;
    }
    return 0;
}

static void play_answer(struct peer_conn *conn, int index, void *user)
{
    (void)index;
    (void)user;
    while (peer_read_request(conn)) {
        peer_answer(conn, 200, "", "served");
    }
}

/* ---- running it ---- */

struct run {
    const char *runtime; /* AIODUCT_RUNTIME; NULL: unset */
    const char *config;  /* AIODUCT_CONFIG; NULL: a file that is empty */
    const char *path;    /* AIODUCT_PLUGIN_PATH; NULL: as it is */
    int status;
    char *output;
};

static void set_or_unset(const char *name, const char *value)
{
    if (value != NULL) {
        setenv(name, value, 1);
    } else {
        unsetenv(name);
    }
}

static void run_child(struct tester *t, struct run *run)
{
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    const char *url = peer_url(t->peer, "/");
    pid_t pid = tap_fork();
    if (pid == 0) {
        dup2(pipe_fds[1], STDOUT_FILENO);
        set_or_unset("AIODUCT_RUNTIME", run->runtime);
        setenv("AIODUCT_CONFIG", run->config != NULL ? run->config : "/dev/null", 1);
        if (run->path != NULL) {
            setenv("AIODUCT_PLUGIN_PATH", run->path, 1);
        }
        execl("/proc/self/exe", "test_selection", "child", url, (char *)NULL);
        _exit(127);
    }
    close(pipe_fds[1]);
    size_t room = 1u << 20, count = 0;
    run->output = tester_alloc(t, room);
    ssize_t got;
    while ((got = TEMP_FAILURE_RETRY(read(pipe_fds[0], run->output + count, room - 1 - count))) >
           0) {
        count += (size_t)got;
    }
    close(pipe_fds[0]);
    int status = -1;
    assert_int_equal(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)), pid);
    assert_true(WIFEXITED(status));
    run->status = WEXITSTATUS(status);
}

static void skip_if_unavailable(const struct run *run)
{
    if (run->status == EXIT_UNAVAILABLE) {
        tap_skip("%.200s", run->output);
    }
}

/* It ran on that runtime, and no file of another one is in its memory. */
static void assert_ran_on(const struct run *run, const char *name)
{
    char line[64];
    snprintf(line, sizeof line, "\nruntime %s\n", name);
    if (run->status != 0 || strstr(run->output, "body served\n") == NULL ||
        strstr(run->output, line) == NULL) {
        tap_fail("asked for %s, exit status %d: %.300s", name, run->status, run->output);
    }
    const char *maps = strchr(strstr(run->output, "\norigin ") + 1, '\n');
    for (int i = 0; i < installed.count; i++) {
        char *file = realpath(installed.origins[i], NULL);
        bool mapped = file != NULL && strstr(maps, file) != NULL;
        bool chosen = file != NULL && strcmp(installed.names[i], name) == 0;
        free(file);
        if (mapped != chosen) {
            tap_fail("%s %s mapped", installed.origins[i], mapped ? "is" : "is not");
        }
    }
}

static void test_environment(void **state)
{
    struct tester *t = *state;
    struct run run = {.runtime = t->extra};
    tester_peer(t, play_answer, NULL);
    run_child(t, &run);
    skip_if_unavailable(&run);
    assert_ran_on(&run, t->extra);
}

static void test_config_file(void **state)
{
    struct tester *t = *state;
    const char *name = t->extra;
    char *dir = test_dir_create();
    char *path = test_format("%s/aioduct.conf", dir);
    char *text = test_format("# moved by this line alone\nruntime = %s\n", name);
    test_file_write(path, text, strlen(text));
    struct run run = {.config = path};
    tester_peer(t, play_answer, NULL);
    run_child(t, &run);
    free(text);
    free(path);
    test_dir_remove(dir);
    skip_if_unavailable(&run);
    assert_ran_on(&run, name);
}

/* The environment beats the file. */
static void test_both(void **state)
{
    struct tester *t = *state;
    const char *name = t->extra;
    char *dir = test_dir_create();
    char *path = test_format("%s/aioduct.conf", dir);
    static const char text[] = "runtime = no-such-runtime\n";
    test_file_write(path, text, strlen(text));
    struct run both = {.runtime = name, .config = path}, file = {.config = path};
    tester_peer(t, play_answer, NULL);
    run_child(t, &both);
    run_child(t, &file);
    free(path);
    test_dir_remove(dir);
    skip_if_unavailable(&both);
    assert_ran_on(&both, name);
    assert_int_equal(file.status, 1);
    assert_non_null(strstr(file.output, "error AIODUCT_E_PLUGIN_NOT_FOUND: "));
    assert_non_null(strstr(file.output, "no-such-runtime"));
}

static void test_list(void **state)
{
    struct tester *t = *state;
    struct run run = {.runtime = "no-such-runtime,epoll"};
    tester_peer(t, play_answer, NULL);
    run_child(t, &run);
    assert_ran_on(&run, "epoll");
}

static void test_automatic(void **state)
{
    struct tester *t = *state;
    struct run run = {.runtime = NULL};
    tester_peer(t, play_answer, NULL);
    run_child(t, &run);
    assert_int_equal(run.status, 0);
    assert_non_null(strstr(run.output, "body served\n"));
}

static void test_no_plugins(void **state)
{
    struct tester *t = *state;
    char *dir = test_dir_create();
    tester_peer(t, play_answer, NULL);
    struct run automatic = {.path = dir}, epoll = {.path = dir, .runtime = "epoll"},
               libev = {.path = dir, .runtime = "libev"};
    run_child(t, &automatic);
    run_child(t, &epoll);
    run_child(t, &libev);
    test_dir_remove(dir);
    assert_ran_on(&epoll, "epoll");
    assert_non_null(strstr(epoll.output, "\norigin built in\n"));
    if (libev.status == 0) {
        tap_skip("plugins are installed outside AIODUCT_PLUGIN_PATH: %.200s",
                 strstr(libev.output, "origin"));
    }
    assert_ran_on(&automatic, "epoll");
    assert_non_null(strstr(libev.output, "error AIODUCT_E_PLUGIN_NOT_FOUND: "));
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "child") == 0) {
        return child(argv[2]);
    }
    unsetenv("AIODUCT_RUNTIME");
    if (aioduct_runtime_list(0, on_runtime, &installed, NULL) != 0 || installed.count == 0) {
        printf("1..1\nnot ok 1 - the installed runtimes can be listed\n");
        return 1;
    }
    static struct CMUnitTest cases[3 * 16 + 3];
    static struct tester_flavour flavours[16];
    size_t count = 0;
    static const struct {
        const char *text;
        CMUnitTestFunction function;
    } kinds[] = {{"AIODUCT_RUNTIME alone moves a program to %s", test_environment},
                 {"a configuration file alone moves a program to %s", test_config_file},
                 {"the environment beats the configuration file on %s", test_both}};
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < installed.count; i++) {
            flavours[i] = (struct tester_flavour){false, installed.names[i]};
            char *name = NULL;
            if (asprintf(&name, kinds[k].text, installed.names[i]) < 0) {
                return 2;
            }
            cases[count++] = (struct CMUnitTest){name, kinds[k].function, tester_setup,
                                                 tester_teardown, &flavours[i]};
        }
    }
    cases[count++] =
        (struct CMUnitTest)HTTP_CASE("a list takes the first that is there", test_list);
    cases[count++] =
        (struct CMUnitTest)HTTP_CASE("without a word a runtime is found", test_automatic);
    cases[count++] =
        (struct CMUnitTest)HTTP_CASE("without any plugin file epoll still works", test_no_plugins);
    return tap_run(cases, count, suite_begin, suite_end);
}
