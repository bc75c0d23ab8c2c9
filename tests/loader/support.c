/* SPDX-License-Identifier: MIT */
#include "support.h"

#include "base/log.h"
#include "plugin/config.h"
#include "runtime/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

char loader_dir[64];

int loader_setup(void **state)
{
    (void)state;
    umask(022); /* a configuration that its group may write is refused */
    umask(022);
    strcpy(loader_dir, "/tmp/aioduct-loader-XXXXXX");
    return mkdtemp(loader_dir) == NULL || chmod(loader_dir, 0755) < 0;
}

int loader_teardown(void **state)
{
    (void)state;
    char command[200];
    snprintf(command, sizeof command, "chmod -R u+rwX %s && rm -rf %s", loader_dir, loader_dir);
    return system(command);
}

/* ---- files ---- */

const char *loader_path(const char *format, ...)
{
    static char buffers[8][512];
    static unsigned next;
    char *buffer = buffers[next++ % 8];
    int bytes = snprintf(buffer, sizeof buffers[0], "%s/", loader_dir);
    va_list args;
    va_start(args, format);
    vsnprintf(buffer + bytes, sizeof buffers[0] - (size_t)bytes, format, args);
    va_end(args);
    return buffer;
}

const char *loader_mkdir(const char *name, mode_t mode)
{
    const char *path = loader_path("%s", name);
    if (mkdir(path, 0755) < 0 || chmod(path, mode) < 0) {
        fail_msg("mkdir %s: %s", path, strerror(errno));
    }
    return path;
}

unsigned char *loader_read(const char *path, size_t *out_bytes)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        fail_msg("%s: %s", path, strerror(errno));
    }
    unsigned char *bytes = malloc((size_t)st.st_size + 1);
    assert_non_null(bytes);
    assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
    close(fd);
    *out_bytes = (size_t)st.st_size;
    return bytes;
}

/* A new file: the old one may be mapped. */
void loader_write(const char *path, const void *bytes, size_t count, mode_t mode)
{
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        fail_msg("%s: %s", path, strerror(errno));
    }
    assert_int_equal(write(fd, bytes, count), count);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}

const char *loader_built(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/libaioduct-rt-%s.so", getenv("LOADER_PLUGINS"), name);
    return path;
}

const char *loader_install(const char *name, const char *directory)
{
    static char path[512];
    size_t bytes;
    unsigned char *content = loader_read(loader_built(name), &bytes);
    snprintf(path, sizeof path, "%s/libaioduct-rt-%s.so", directory, name);
    loader_write(path, content, bytes, 0644);
    free(content);
    return path;
}

/* ---- children ---- */

void loader_must(bool condition, const char *what, int line)
{
    if (!condition) {
        printf("line %d: %s\n", line, what);
        fflush(stdout);
        _exit(1);
    }
}

static void on_log(int level, const char *message, void *user)
{
    struct loader_outcome *out = user;
    size_t used = strlen(out->log);
    snprintf(out->log + used, sizeof out->log - used, "%d %s\n", level, message);
}

static void set(const char *name, const char *value)
{
    if (value == NULL) {
        unsetenv(name);
    } else {
        setenv(name, value, 1);
    }
}

static void prepare(const struct loader_run *run, struct loader_outcome *out)
{
    set("AIODUCT_RUNTIME", run->runtime);
    set("AIODUCT_PLUGIN_PATH", run->path);
    set("AIODUCT_DEBUG", run->debug);
    set("AIODUCT_CONFIG", "");
    if (run->user != 0) {
        MUST(setresgid(run->user, run->user, run->user) == 0);
        MUST(setresuid(run->user, run->user, run->user) == 0);
    }
    ad_log_set(on_log, out, AD_LOG_DEBUG);
    ad_registry_add_builtin(&aioduct_plugin_epoll);
    if (run->before != NULL) {
        run->before();
    }
}

void loader_in_child(const struct loader_run *run,
                     void (*body)(struct loader_outcome *out, const void *user), const void *user,
                     struct loader_outcome *out)
{
    struct loader_outcome *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(shared != MAP_FAILED);
    pid_t pid = tap_fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(50); /* before the case's own, so that no child outlives it */
        prepare(run, shared);
        body(shared, user);
        fflush(stdout);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    *out = *shared;
    out->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    munmap(shared, sizeof *shared);
    if (status != 0) {
        fail_msg("the child ended with status %#x", status);
    }
}

static void choose(struct loader_outcome *out, const void *user)
{
    const struct loader_run *run = user;
    const struct ad_plugin *plugin = NULL;
    struct ad_config *config = NULL;
    if (run->config != NULL) {
        char path[128];
        snprintf(path, sizeof path, "%s/config-%d", loader_dir, (int)getpid());
        FILE *f = fopen(path, "w");
        MUST(f != NULL && fputs(run->config, f) >= 0 && fclose(f) == 0);
        MUST(ad_config_read(path, &config, &out->error) == 0);
        unlink(path);
    }
    struct ad_selection want = {.option = run->option, .config = config, .need = run->need};
    for (int i = 0; i < (run->times == 0 ? 1 : run->times); i++) {
        out->code = ad_runtime_choose(&want, &plugin, &out->report, &out->error);
    }
    if (out->code == 0) {
        out->plugin = *plugin;
    }
    if (out->code == 0 && run->open) {
        struct ad_loop *loop;
        out->code = ad_loop_create(plugin, config, &loop, &out->error);
    }
    ad_config_destroy(config);
}

void loader_choose(const struct loader_run *run, struct loader_outcome *out)
{
    loader_in_child(run, choose, run, out);
}

/* ---- expectations ---- */

void loader_expect_text(const char *text, const char *part)
{
    if (strstr(text, part) == NULL) {
        fail_msg("'%s' is not in '%s'", part, text);
    }
}

void loader_expect_no_text(const char *text, const char *part)
{
    if (strstr(text, part) != NULL) {
        fail_msg("'%s' is in '%s'", part, text);
    }
}

unsigned loader_count(const char *text, const char *part)
{
    unsigned count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part)) {
        count++;
    }
    return count;
}

void loader_expect(const struct loader_outcome *got, int code, const char *in_message,
                   const char *in_hint)
{
    if (got->code != code) {
        fail_msg("%s (%s), not %s", aioduct_error_name(got->code), got->error.message,
                 aioduct_error_name(code));
    }
    assert_int_equal(got->error.code, code);
    assert_int_equal(got->error.phase, AIODUCT_PHASE_SETUP);
    loader_expect_text(got->error.message, in_message);
    loader_expect_text(got->error.hint, in_hint);
}

void loader_expect_chosen(const struct loader_outcome *got, const char *name, const char *origin)
{
    if (got->code != 0) {
        fail_msg("%s: %s", aioduct_error_name(got->code), got->error.message);
    }
    assert_string_equal(got->report.name, name);
    if (origin != NULL) {
        assert_string_equal(got->report.origin, origin);
    }
}
