/* SPDX-License-Identifier: MIT */
/* One GiB through a client in a process of its own: the same bytes come out, and the process never
 * holds more than 32 MiB. Under a sanitizer it is 64 MiB, and memory is not judged. */
#include "tester.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESIDENT_KIB_MAX (32 * 1024)

static char expected_hash[65];
static uint64_t expected_bytes;

static int begin(void **state)
{
    int code = suite_begin_nginx(state);
    if (code == 0 && suite_nginx() != NULL) {
        tap_limit_seconds(300);
        expected_bytes = test_is_slow_build() ? 64u << 20 : 1u << 30;
        code = nginx_add_file(suite_nginx(), "gigabyte", expected_bytes, expected_hash);
    }
    return code;
}

/* ---- the child ---- */

struct sink {
    struct test_hash hash;
    uint64_t bytes;
};

static int on_body(struct aioduct_exchange *exchange, const void *bytes, size_t count, void *user)
{
    struct sink *sink = user;
    (void)exchange;
    test_hash_add(&sink->hash, bytes, count);
    sink->bytes += count;
    return 0;
}

/* The most memory that this program ever had: VmHWM, since the rusage of a process also counts what
 * was there before exec. */
static long peak_kib(void)
{
    char *text = test_file_read("/proc/self/status", NULL);
    long kib = -1;
    const char *line = text != NULL ? strstr(text, "VmHWM:") : NULL;
    if (line != NULL && sscanf(line, "VmHWM: %ld", &kib) != 1) {
        kib = -1;
    }
    free(text);
    return kib;
}

static int child(const char *url, const char *ca_file)
{
    struct aioduct_client_options options = AIODUCT_CLIENT_OPTIONS_INIT;
    options.config_file = "";
    options.tls.ca_file = ca_file;
    struct aioduct_client *client = NULL;
    struct aioduct_request *request = NULL;
    struct aioduct_error error = {0};
    struct sink sink = {.bytes = 0};
    const struct aioduct_callbacks callbacks = {.size = sizeof callbacks, .on_body = on_body};
    test_hash_begin(&sink.hash);
    int code = aioduct_client_create(&options, &client, &error);
    if (code == 0) {
        code = aioduct_request_create("GET", url, &request, &error);
    }
    if (code == 0) {
        code = aioduct_client_perform(client, request, &callbacks, &sink, &error);
    }
    aioduct_request_destroy(request);
    aioduct_client_destroy(client);
    char hex[65];
    test_hash_end(&sink.hash, hex);
    printf("%d %llu %s %ld %s\n", code, (unsigned long long)sink.bytes, hex, peak_kib(),
           error.message);
    return 0;
}

/* ---- the test ---- */

/* What the child printed, in @line. */
static void run_child(const char *url, char *line, size_t room)
{
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t pid = tap_fork();
    if (pid == 0) {
        dup2(pipe_fds[1], STDOUT_FILENO);
        execl("/proc/self/exe", "test_gigabyte", "child", url, test_cert("ca.pem"), (char *)NULL);
        _exit(127);
    }
    close(pipe_fds[1]);
    size_t count = 0;
    ssize_t got;
    while ((got = TEMP_FAILURE_RETRY(read(pipe_fds[0], line + count, room - 1 - count))) > 0) {
        count += (size_t)got;
    }
    line[count] = '\0';
    close(pipe_fds[0]);
    int status = -1;
    assert_int_equal(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)), pid);
    assert_int_equal(status, 0);
}

static void test_gigabyte(void **state)
{
    struct tester *t = *state;
    char line[1024], hash[65] = "";
    int code = -1;
    unsigned long long bytes = 0;
    long kib = 0;
    run_child(tester_url(t, "/gigabyte"), line, sizeof line);
    print_message("%s", line);
    assert_int_equal(sscanf(line, "%d %llu %64s %ld", &code, &bytes, hash, &kib), 4);
    assert_code(0, code);
    assert_int_equal(bytes, expected_bytes);
    assert_string_equal(hash, expected_hash);
    assert_true(kib > 0);
    if (!test_is_slow_build()) {
        assert_in_range(kib, 1, RESIDENT_KIB_MAX);
    }
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "child") == 0) {
        return child(argv[2], argv[3]);
    }
    const struct CMUnitTest cases[] = {
        HTTP_CASES("1 GiB arrives whole in at most 32 MiB of memory", test_gigabyte),
    };
    return TAP_RUN(cases, begin, suite_end);
}
