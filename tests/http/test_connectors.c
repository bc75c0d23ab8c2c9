/* SPDX-License-Identifier: MIT */
/* Connections that are made otherwise: over unix-domain sockets, and by connectors that a client
 * names. The connectors are those of examples/, as anybody would build them. */
#include "tester.h"

#include "connector-count/count.h"

#include <aioduct/plugin/plugin.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Nobody has this name: whatever looks it up fails. For TLS it is the certificate's. */
static const char *any_host(const struct tester *t)
{
    return t->tls ? "https://localhost" : "http://no-such-name.invalid";
}

static char *socket_of(const struct tester *t)
{
    return test_format("%s/%s", nginx_dir(t->nginx), t->tls ? "tls.sock" : "plain.sock");
}

static struct result *get_file(struct tester *t, const char *name)
{
    char *url = test_format("%s/%s", any_host(t), name);
    struct result *r = tester_result(t);
    r->hash_body = true;
    tester_perform_into(t, tester_request(t, "GET", url), r);
    free(url);
    return r;
}

/* ---- unix-domain sockets ---- */

static void test_unix_file(void **state)
{
    struct tester *t = *state;
    char *path = socket_of(t), *shown = test_format("unix:%s", path), hex[65];
    assert_int_equal(nginx_add_file(t->nginx, "over-unix", 8 << 20, hex), 0);
    t->options.unix_socket = path;
    tester_client(t);
    for (int i = 0; i < 3; i++) {
        struct result *r = get_file(t, "over-unix");
        assert_answer(r, 200);
        assert_string_equal(r->sha256, hex);
        assert_string_equal(r->peer_address, shown);
        assert_int_equal(r->info.reused, i > 0);
    }
    free(shown);
    free(path);
}

static void test_unix_upload(void **state)
{
    struct tester *t = *state;
    enum { BYTES = 3 << 20 };
    char *path = socket_of(t), *url = test_format("%s/upload/by-unix", any_host(t));
    char *file = test_format("%s/upload/by-unix", nginx_dir(t->nginx)), sent[65], kept[65];
    char *body = tester_alloc(t, BYTES);
    test_fill(body, BYTES, 7);
    test_hash_bytes(body, BYTES, sent);
    t->options.unix_socket = path;
    tester_client(t);
    struct aioduct_request *request = tester_request(t, "PUT", url);
    assert_int_equal(aioduct_request_body_copy(request, body, BYTES), 0);
    struct result *r = tester_perform(t, request);
    assert_in_range(r->status, 201, 204);
    assert_int_equal(test_hash_file(file, kept), 0);
    assert_string_equal(kept, sent);
    free(file);
    free(url);
    free(path);
}

static void test_unix_absent(void **state)
{
    struct tester *t = *state;
    t->options.unix_socket = "/no/such/dir/x.sock";
    tester_client(t);
    struct result *r = tester_get(t, "http://no-such-name.invalid/");
    assert_error(r, -ENOENT, AIODUCT_PHASE_CONNECT);
    assert_non_null(strstr(r->error.message, "(unix:/no/such/dir/x.sock): "));
    assert_int_equal(r->error.safe_to_retry, 1);
}

static void test_unix_name_too_long(void **state)
{
    struct tester *t = *state;
    struct aioduct_error error = {0};
    struct aioduct_client *client = NULL;
    char path[200];
    memset(path, 'x', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = '\0';
    const char *const names[] = {path, "", "@"};
    for (size_t i = 0; i < 3; i++) {
        t->options.unix_socket = names[i];
        assert_int_equal(aioduct_client_create(&t->options, &client, &error), -EINVAL);
        assert_non_null(strstr(error.message, "unix_socket"));
    }
}

static void *answer_once(void *listener)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhere";
    char request[4096];
    int fd = accept(*(int *)listener, NULL, NULL);
    if (fd >= 0 && read(fd, request, sizeof request) > 0) {
        (void)!write(fd, text, sizeof text - 1);
    }
    close(fd);
    return NULL;
}

static void test_unix_abstract(void **state)
{
    struct tester *t = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[64], shown[80];
    pthread_t thread;
    snprintf(name, sizeof name, "@aioduct-connectors-%d", (int)getpid());
    snprintf(shown, sizeof shown, "unix:%s", name);
    memcpy(address.sun_path, name, strlen(name));
    address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, bytes), 0);
    assert_int_equal(listen(fd, 4), 0);
    pthread_create(&thread, NULL, answer_once, &fd);
    t->options.unix_socket = name;
    tester_client(t);
    struct result *r = tester_get(t, "http://no-such-name.invalid/");
    pthread_join(thread, NULL);
    close(fd);
    assert_answer(r, 200);
    assert_string_equal(r->body, "here");
    assert_string_equal(r->peer_address, shown);
}

/* ---- connectors ---- */

struct found {
    const char *name;
    char path[512];
};

static int on_connector(const struct aioduct_runtime_info *info, void *user)
{
    struct found *f = user;
    if (strcmp(info->name, f->name) == 0) {
        snprintf(f->path, sizeof f->path, "%s", info->origin);
        assert_string_equal(info->capabilities, "connector,layer");
        assert_int_equal(info->status, AIODUCT_RUNTIME_OK);
    }
    return 0;
}

static const char *path_of(struct tester *t, const char *name)
{
    struct found *found = tester_alloc(t, sizeof *found);
    found->name = name;
    assert_int_equal(aioduct_connector_list(1, on_connector, found, NULL), 0);
    assert_int_equal(found->path[0], '/');
    return found->path;
}

/* What all clients of this process that have ended were counted for. */
static struct count_numbers counted(struct tester *t)
{
    struct count_numbers now = {.size = sizeof now};
    void *handle = dlopen(path_of(t, "count"), RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(handle);
    const struct aioduct_plugin *plugin = dlsym(handle, "aioduct_plugin_entry_1");
    const struct count_interface *interface = plugin->get_interface(COUNT_IFACE);
    assert_non_null(interface);
    interface->read(&now);
    dlclose(handle);
    return now;
}

/* Every byte of the connection goes by a layer, and is what the engine has counted itself. */
static void test_layer_counts(void **state)
{
    struct tester *t = *state;
    char hex[65];
    assert_int_equal(nginx_add_file(t->nginx, "counted", 5 << 20, hex), 0);
    t->options.connectors = "count";
    struct count_numbers before = counted(t);
    tester_client(t);
    for (int i = 0; i < 2; i++) {
        struct result *r = tester_result(t);
        r->hash_body = true;
        tester_perform_into(t, tester_request(t, "GET", tester_url(t, "/counted")), r);
        assert_answer(r, 200);
        assert_string_equal(r->sha256, hex);
        assert_true(strncmp(r->peer_address, "unix:", 5) != 0 && r->peer_address[0] != '\0');
    }
    tester_destroy(t);
    struct count_numbers after = counted(t);
    assert_true(after.dials > before.dials);
    assert_int_equal(after.connected - before.connected, 1);
    assert_true(after.received_bytes - before.received_bytes > 10u << 20);
    assert_true(after.sent_bytes - before.sent_bytes > 100);
    assert_in_range(after.sends - before.sends, 2, 1000);
}

static char *write_config(struct tester *t, const char *text, char **out_dir)
{
    *out_dir = test_dir_create();
    char *path = test_format("%s/aioduct.conf", *out_dir);
    assert_int_equal(test_file_write(path, text, strlen(text)), 0);
    assert_int_equal(chmod(path, 0644), 0);
    t->options.config_file = path;
    return path;
}

static void go_by_layers(struct tester *t, const char *connectors)
{
    char *dir, *path = socket_of(t);
    char *text = test_format("connector = %s\nconnector.unix.path = %s\n", connectors, path);
    char *config = write_config(t, text, &dir), hex[65];
    assert_int_equal(nginx_add_file(t->nginx, "by-layers", 2 << 20, hex), 0);
    tester_client(t);
    struct result *r = get_file(t, "by-layers");
    assert_answer(r, 200);
    assert_string_equal(r->sha256, hex);
    assert_true(strncmp(r->peer_address, "unix:", 5) == 0);
    tester_destroy(t);
    test_dir_remove(dir);
    free(config);
    free(text);
    free(path);
}

static void test_layer_unix(void **state)
{
    go_by_layers(*state, "unix");
}

static void test_layers_on_layers(void **state)
{
    struct tester *t = *state;
    char *list = test_format("count, unix, %s", path_of(t, "count"));
    struct count_numbers before = counted(t);
    go_by_layers(t, list);
    struct count_numbers after = counted(t);
    assert_int_equal(after.connected - before.connected, 2); /* above unix, and below it */
    assert_true(after.received_bytes - before.received_bytes >= 4u << 20);
    free(list);
}

/* The race dials each address of a name through the chain. */
static void test_layer_sees_every_dial(void **state)
{
    struct tester *t = *state;
    char rule[128];
    snprintf(rule, sizeof rule, "name.invalid:%d:127.0.0.2,127.0.0.3,127.0.0.1",
             nginx_port(t->nginx, NGINX_PLAIN));
    const char *const rules[] = {rule, NULL};
    t->options.resolve = rules;
    t->options.connectors = "count";
    struct count_numbers before = counted(t);
    tester_client(t);
    assert_answer(tester_get(t, nginx_url(t->nginx, NGINX_PLAIN, "name.invalid", "/echo")), 200);
    tester_destroy(t);
    struct count_numbers after = counted(t);
    assert_int_equal(after.dials - before.dials, 3);
    assert_int_equal(after.connected - before.connected, 1);
}

static void test_layer_says_why(void **state)
{
    struct tester *t = *state;
    char *dir, *config = write_config(t, "connector.unix.path = /no/such/dir/y.sock\n", &dir);
    t->options.connectors = "unix";
    tester_client(t);
    struct result *r = tester_get(t, "http://no-such-name.invalid/");
    assert_error(r, -ENOENT, AIODUCT_PHASE_CONNECT);
    assert_string_equal(r->error.message,
                        "connect to no-such-name.invalid port 80: No such file or "
                        "directory (unix:/no/such/dir/y.sock)");
    tester_destroy(t);
    test_dir_remove(dir);
    free(config);
}

/* ---- what cannot be ---- */

static void refused(struct tester *t, const char *connectors, int code, const char *said)
{
    struct aioduct_error error = {0};
    struct aioduct_client *client = NULL;
    t->options.connectors = connectors;
    assert_code(code, aioduct_client_create(&t->options, &client, &error));
    if (strstr(error.message, said) == NULL) {
        fail_msg("'%s' does not say '%s'", error.message, said);
    }
    assert_null(client);
}

static void test_refusals(void **state)
{
    struct tester *t = *state;
    refused(t, "nonesuch", AIODUCT_E_PLUGIN_NOT_FOUND,
            "connector 'nonesuch' not found. Tried: built in (no); /");
    refused(t, "nonesuch", AIODUCT_E_PLUGIN_NOT_FOUND, "/libaioduct-cx-nonesuch.so (no such file)");
    refused(t, "/no/libaioduct-cx-x.so", AIODUCT_E_PLUGIN_NOT_FOUND,
            "connector plugin /no/libaioduct-cx-x.so not found");
    refused(t, "../libaioduct-cx-x.so", AIODUCT_E_PLUGIN_NAME, "is a relative path");
    refused(t, "/no/libaioduct-rt-x.so", AIODUCT_E_PLUGIN_NAME, "called libaioduct-cx-<name>.so");
    refused(t, "count,,unix", AIODUCT_E_PLUGIN_NAME, "has an empty element");
    refused(t, "Count", AIODUCT_E_PLUGIN_NAME, "is not the name of a connector");
    refused(t, "count,count,count,count,count,count,count,count,count", AIODUCT_E_PLUGIN_NAME,
            "more than 8");
    refused(t, "unix", -EINVAL, "connector 'unix': open failed: option path is not set");
}

static void test_refused_options(void **state)
{
    struct tester *t = *state;
    char *dir, *config = write_config(t, "\nconnector.count.each = maybe\n", &dir);
    refused(t, "count", AIODUCT_E_CONFIG,
            "aioduct.conf:2: connector 'count': option each is neither yes nor no");
    assert_int_equal(test_file_write(config, "connector.count.bogus = 1\n", 26), 0);
    refused(t, "count", AIODUCT_E_CONFIG,
            "aioduct.conf:1: the connector 'count' has no option 'bogus'");
    assert_int_equal(test_file_write(config, "connector = a b\n", 16), 0);
    refused(t, "count", AIODUCT_E_CONFIG, "aioduct.conf:1: connector: 'a b' is not the name");
    t->options.config_file = "";
    test_dir_remove(dir);
    free(config);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        HTTP_CASES("a file arrives over a unix-domain socket", test_unix_file),
        HTTP_CASES("a body goes out over a unix-domain socket", test_unix_upload),
        HTTP_CASE("a unix-domain socket that is not there is named", test_unix_absent),
        HTTP_CASE("a name that no socket can have is refused", test_unix_name_too_long),
        HTTP_CASE("a name may be abstract", test_unix_abstract),
        HTTP_CASES("a layer sees every byte", test_layer_counts),
        HTTP_CASES("a layer leads elsewhere, and nothing is looked up", test_layer_unix),
        HTTP_CASES("layers sit on layers", test_layers_on_layers),
        HTTP_CASE("a layer sees every dial of a race", test_layer_sees_every_dial),
        HTTP_CASE("a layer says why its connect failed", test_layer_says_why),
        HTTP_CASE("a connector that cannot be had is an error that says why", test_refusals),
        HTTP_CASE("options of connectors are checked with file and line", test_refused_options),
    };
    return TAP_RUN(cases, suite_begin_nginx, suite_end);
}
