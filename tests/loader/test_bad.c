/* SPDX-License-Identifier: MIT */
/* Plugins that are each bad in one way: what is said of them, and that the process survives. Beside
 * them the sound ones that look unusual. */
#include "support.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct row {
    const char *does; /* the case's name */
    const char *plugin;
    int code;
    const char *message[3]; /* parts; beside them the path, which every refusal must say */
    const char *hint;
    bool silent_path; /* the message names the runtime and no file */
};

static const struct row bad[] = {
    {"a descriptor with the wrong magic is refused",
     "badmagic",
     AIODUCT_E_PLUGIN_INVALID,
     {"the descriptor's magic is 0x12345678, not 0x54434441"},
     "",
     false},
    {"a descriptor shorter than ABI 1.0's is refused",
     "smallsize",
     AIODUCT_E_PLUGIN_INVALID,
     {"the descriptor has 16 bytes; ABI 1.0 has "},
     "",
     false},
    {"another major in the descriptor is refused",
     "descmajor",
     AIODUCT_E_PLUGIN_ABI,
     {"was built for aioduct ABI 2; this library speaks 1"},
     "upgrade libaioduct",
     false},
    {"another major in the note is refused before anything is loaded",
     "notemajor",
     AIODUCT_E_PLUGIN_ABI,
     {"was built for aioduct ABI 2; this library speaks 1"},
     "Install a build of the plugin for ABI 1",
     false},
    {"an earlier major is refused",
     "oldmajor",
     AIODUCT_E_PLUGIN_ABI,
     {"was built for aioduct ABI 0; this library speaks 1"},
     "Install a build of the plugin for ABI 1",
     false},
    {"a newer minor that the note needs is refused",
     "notenewer",
     AIODUCT_E_PLUGIN_ABI,
     {"needs ABI 1.4", "this library has " ABI_HERE},
     "Upgrade libaioduct",
     false},
    {"a newer minor that the descriptor needs is refused",
     "descnewer",
     AIODUCT_E_PLUGIN_ABI,
     {"needs ABI 1.4", "this library has " ABI_HERE},
     "Upgrade libaioduct",
     false},
    {"a shared object without a note is not loaded",
     "nonote",
     AIODUCT_E_PLUGIN_INVALID,
     {"is not an aioduct plugin (no .note.aioduct); not loaded"},
     "",
     false},
    {"two notes are one too many",
     "twonotes",
     AIODUCT_E_PLUGIN_INVALID,
     {"(more than one .note.aioduct)"},
     "",
     false},
    {"a malformed note is refused",
     "badnote",
     AIODUCT_E_PLUGIN_INVALID,
     {"has a malformed .note.aioduct: it is not a list of key=value pairs"},
     "",
     false},
    {"a plugin without its symbol is refused",
     "nosymbol",
     AIODUCT_E_PLUGIN_INVALID,
     {"has no aioduct_plugin_entry_1 (is it exported?)"},
     "AIODUCT_PLUGIN_EXPORT",
     false},
    {"a plugin with the symbol of the next major is told so",
     "nextentry",
     AIODUCT_E_PLUGIN_ABI,
     {"was built for aioduct ABI 2; this library speaks 1"},
     "",
     false},
    {"a note with another name than the file's is refused",
     "notename",
     AIODUCT_E_PLUGIN_INVALID,
     {"the names disagree: file libaioduct-rt-notename.so, plugin 'other'"},
     "libaioduct-rt-other.so",
     false},
    {"a descriptor with another name is refused, naming all three",
     "descname",
     AIODUCT_E_PLUGIN_INVALID,
     {"file libaioduct-rt-descname.so, note 'descname', descriptor 'other'"},
     "",
     false},
    {"a descriptor with a malformed name is refused",
     "descbad",
     AIODUCT_E_PLUGIN_INVALID,
     {"the descriptor's name '../../x' is malformed"},
     "",
     false},
    {"a descriptor without a name is refused",
     "descnull",
     AIODUCT_E_PLUGIN_INVALID,
     {"the descriptor's name '(none)' is malformed"},
     "",
     false},
    {"a descriptor without get_interface is refused",
     "noiface",
     AIODUCT_E_PLUGIN_INVALID,
     {"the descriptor has no get_interface"},
     "",
     false},
    {"a runtime without wake is refused",
     "nowake",
     AIODUCT_E_PLUGIN_INVALID,
     {"offers aioduct.runtime/1 without wake"},
     "",
     false},
    {"a poll runtime without sleep is refused",
     "nosleep",
     AIODUCT_E_PLUGIN_INVALID,
     {"offers aioduct.runtime.poll/1 without sleep"},
     "",
     false},
    {"a local runtime without spawn_local is refused",
     "nospawn",
     AIODUCT_E_PLUGIN_INVALID,
     {"offers aioduct.runtime.local/1 without spawn_local"},
     "",
     false},
    {"a connector without send is refused",
     "nosend",
     AIODUCT_E_PLUGIN_INVALID,
     {"offers aioduct.connector/1 without send"},
     "",
     false},
    {"a connector that is both send and local is refused",
     "bothflags",
     AIODUCT_E_PLUGIN_INVALID,
     {"offers aioduct.connector/1 flagged both of send and local"},
     "",
     false},
    {"a connector that is neither send nor local is refused",
     "noflags",
     AIODUCT_E_PLUGIN_INVALID,
     {"offers aioduct.connector/1 flagged neither of send and local"},
     "",
     false},
    {"a layout with a strange alignment is refused",
     "badalign",
     AIODUCT_E_PLUGIN_INVALID,
     {"offers aioduct.runtime.poll/1 with a layout of 8 bytes aligned to 24"},
     "",
     false},
    {"a layout of a gigabyte is refused",
     "hugelayout",
     AIODUCT_E_PLUGIN_INVALID,
     {"with a layout of 1073741824 bytes aligned to 8"},
     "",
     false},
    {"a note that promises more than the tables is refused",
     "capsmore",
     AIODUCT_E_PLUGIN_INVALID,
     {"the note says caps=runtime,poll,local,connector, the tables offer runtime,poll,connector"},
     "",
     false},
    {"a note that promises less than the tables is refused",
     "capsless",
     AIODUCT_E_PLUGIN_INVALID,
     {"the note says caps=runtime,poll,connector, the tables offer "
      "runtime,poll,local,connector"},
     "",
     false},
    {"a file that offers no runtime is refused",
     "noruntime",
     AIODUCT_E_PLUGIN_INVALID,
     {"does not offer a runtime"},
     "",
     false},
    {"a runtime that can only block is of no use to a client",
     "blockonly",
     AIODUCT_E_PLUGIN_CAPABILITY,
     {"runtime 'blockonly' (", ") offers connector; this client asked for tasks and timers"},
     "",
     false},
    {"a runtime without a connector is of no use to a client",
     "noconnector",
     AIODUCT_E_PLUGIN_CAPABILITY,
     {"runtime 'noconnector' (", ") offers poll; this client asked for a connector"},
     "",
     false},
    {"a plugin that cannot run here says why and what to do",
     "unavailable",
     AIODUCT_E_UNAVAILABLE,
     {"unavailable unavailable: no wheel: ENOENT"},
     "Buy one; see wheel(8).",
     true},
    {"a plugin whose probe breaks is an error, not a skip",
     "broken",
     AIODUCT_E_PLUGIN_INVALID,
     {"runtime 'broken' (", "is broken: its probe failed: the wheel fell off"},
     "",
     false},
    {"an undefined symbol is the plugin's own fault",
     "undefined",
     AIODUCT_E_PLUGIN_INVALID,
     {"cannot load ", "dlerror: ", "loader_test_nowhere"},
     "",
     false},
    {"a library that is not there is named, apart from the plugin",
     "needsdep",
     AIODUCT_E_PLUGIN_DEPENDENCY,
     {"runtime 'needsdep' needs libloadertestgone.so, which is not installed (",
      "). dlerror: libloadertestgone.so: "},
     "Install the package that has libloadertestgone.so",
     false},
    {"an executable stack is refused",
     "execstack",
     AIODUCT_E_PLUGIN_INVALID,
     {"(it wants an executable stack)"},
     "",
     false},
};
enum { BAD_COUNT = sizeof bad / sizeof bad[0] };

static void test_bad(void **state)
{
    const struct row *row = *state;
    struct loader_outcome got;
    const char *path = loader_install(row->plugin, loader_dir);

    loader_choose(&(struct loader_run){.option = row->plugin, .path = loader_dir}, &got);
    loader_expect(&got, row->code, row->silent_path ? row->plugin : path, row->hint);
    for (int i = 0; i < 3 && row->message[i] != NULL; i++) {
        loader_expect_text(got.error.message, row->message[i]);
    }
    assert_string_equal(got.report.name, "");

    /* Asked for by its path it says the same. */
    loader_choose(&(struct loader_run){.option = path}, &got);
    loader_expect(&got, row->code, row->silent_path ? row->plugin : path, row->hint);

    /* In a list it is passed over: with a warning if it is broken, never in silence. */
    char list[64];
    snprintf(list, sizeof list, "%s,epoll", row->plugin);
    loader_choose(&(struct loader_run){.option = list, .path = loader_dir, .times = 3}, &got);
    loader_expect_chosen(&got, "epoll", "built in");
    loader_expect_text(got.report.notice, row->plugin);
    loader_expect_text(got.report.notice, "; using epoll");
    bool broken = row->code != AIODUCT_E_UNAVAILABLE && row->code != AIODUCT_E_PLUGIN_CAPABILITY;
    assert_int_equal(loader_count(got.log, "1 runtime '"), broken);
    assert_int_equal(loader_count(got.log, "; using epoll\n"), 1);
}

/* ---- sound, though unusual ---- */

static void expect_good(const char *name, unsigned caps)
{
    struct loader_outcome got;
    const char *path = loader_install(name, loader_dir);
    loader_choose(&(struct loader_run){.option = name, .path = loader_dir}, &got);
    loader_expect_chosen(&got, name, path);
    assert_int_equal(got.plugin.caps, caps);
}

static const unsigned usual = AD_CAP_RUNTIME | AD_CAP_POLL | AD_CAP_CONNECTOR;

static void test_good(void **state)
{
    (void)state;
    expect_good("good", usual);
    expect_good("localonly", AD_CAP_RUNTIME | AD_CAP_LOCAL | AD_CAP_CONNECTOR);
    expect_good("both", usual | AD_CAP_LOCAL);
}

static void call_optional(struct loader_outcome *out, const void *user)
{
    const struct ad_plugin *plugin;
    struct aioduct_stream_info info = {.size = sizeof info};
    struct ad_selection want = {.option = user};
    out->code = ad_runtime_choose(&want, &plugin, NULL, &out->error);
    MUST(out->code == 0);
    MUST(plugin->runtime.size == sizeof plugin->runtime);
    MUST(plugin->connector.size == sizeof plugin->connector);
    MUST(plugin->runtime.poll_fd(NULL) == AIODUCT_E_UNSUPPORTED);
    MUST(plugin->runtime.after_fork_child(NULL) == AIODUCT_E_FORKED);
    MUST(plugin->connector.stream_info(NULL, &info) == AIODUCT_E_UNSUPPORTED);
    out->report.size = (size_t)plugin->runtime.turn(NULL, 0);
}

static void test_older(void **state)
{
    (void)state;
    struct loader_outcome got;
    struct loader_run run = {.path = loader_dir};
    loader_install("older", loader_dir);
    loader_in_child(&run, call_optional, "older", &got);
    assert_int_equal((int)got.report.size, AIODUCT_E_UNSUPPORTED);
    /* A table of full size whose optional members are NULL is treated alike. */
    loader_install("good", loader_dir);
    loader_in_child(&run, call_optional, "good", &got);
    assert_int_equal((int)got.report.size, 0);
}

static void test_newer(void **state)
{
    (void)state;
    struct loader_outcome got;
    expect_good("newer", usual);
    loader_choose(&(struct loader_run){.option = "newer", .path = loader_dir}, &got);
    assert_string_equal(got.report.abi, "1.9");
    loader_in_child(&(struct loader_run){.path = loader_dir}, call_optional, "newer", &got);
}

static void test_layout(void **state)
{
    (void)state;
    struct loader_outcome got;
    loader_install("good", loader_dir);
    loader_choose(&(struct loader_run){.option = "good", .path = loader_dir}, &got);
    assert_int_equal(got.plugin.runtime.task.bytes, 1); /* {0, 0} in the plugin */
    assert_int_equal(got.plugin.runtime.task.align, 1);
    assert_int_equal(got.plugin.connector.stream.bytes, 64);
    assert_int_equal(got.plugin.connector.stream.align, 16);
}

static void test_open_fails(void **state)
{
    (void)state;
    struct loader_outcome got;
    loader_install("openfails", loader_dir);
    loader_choose(&(struct loader_run){.option = "openfails", .path = loader_dir, .open = true},
                  &got);
    loader_expect(&got, -EMFILE, "no descriptor is left for the wheel", "");
    loader_expect_text(got.error.message, "openfails");
}

static void test_probe_option(void **state)
{
    (void)state;
    struct loader_outcome got;
    loader_install("good", loader_dir);
    loader_choose(&(struct loader_run){.option = "good",
                                       .path = loader_dir,
                                       .config = "runtime.good.probe = the wheel is asked off\n"
                                                 "runtime.other.probe = not this\n"},
                  &got);
    loader_expect(&got, AIODUCT_E_UNAVAILABLE, "good unavailable: the wheel is asked off", "");
}

static void test_probe_fills(void **state)
{
    (void)state;
    struct loader_outcome got;
    loader_install("good", loader_dir);
    loader_choose(&(struct loader_run){.option = "good",
                                       .path = loader_dir,
                                       .config = "runtime.good.probe = fill\n"},
                  &got);
    loader_expect(&got, AIODUCT_E_UNAVAILABLE, "rrrrrrrr", "hhhhhhhh");
    assert_int_equal(strlen(got.error.hint), 191);
}

static void test_unknown_option(void **state)
{
    (void)state;
    struct loader_outcome got;
    loader_choose(&(struct loader_run){.option = "epoll",
                                       .config = "runtime.uring.entries = 64\n"
                                                 "runtime.epoll.bogus = 1\n",
                                       .open = true},
                  &got);
    loader_expect(&got, AIODUCT_E_CONFIG, ":2: the runtime 'epoll' has no option 'bogus'", "");
}

int main(void)
{
    static const struct CMUnitTest others[] = {
        {"plugins of the usual kinds load", test_good, NULL, NULL, NULL},
        {"an older plugin with smaller tables gets stubs", test_older, NULL, NULL, NULL},
        {"a newer plugin with larger tables loads", test_newer, NULL, NULL, NULL},
        {"a layout of no bytes is made allocatable, others are kept", test_layout, NULL, NULL,
         NULL},
        {"the reason that open gives to host->error reaches the caller", test_open_fails, NULL,
         NULL, NULL},
        {"an option of the configuration file reaches the plugin of that name", test_probe_option,
         NULL, NULL, NULL},
        {"an option that the runtime does not have is refused with its line", test_unknown_option,
         NULL, NULL, NULL},
        {"a probe's texts without an end are cut", test_probe_fills, NULL, NULL, NULL},
    };
    enum { OTHER_COUNT = sizeof others / sizeof others[0] };
    static struct CMUnitTest cases[BAD_COUNT + OTHER_COUNT];
    for (size_t i = 0; i < BAD_COUNT; i++) {
        cases[i] =
            (struct CMUnitTest){bad[i].does, test_bad, NULL, NULL, (void *)(uintptr_t)&bad[i]};
    }
    memcpy(cases + BAD_COUNT, others, sizeof others);
    return TAP_RUN(cases, loader_setup, loader_teardown);
}
