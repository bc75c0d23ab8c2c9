#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""aioduct plugins, inspect and which, --version, and what is said when a runtime cannot be had."""
import json
import os
import re
import shutil
import sys
import tempfile

from harness import Skip, case, equal, main, matches

NONE = {"AIODUCT_RUNTIME": None, "AIODUCT_CONFIG": "/dev/null"}


@case
def the_table_lists_every_runtime_and_who_chose(w):
    out = w.ok("plugins", env=NONE).decode()
    for name in os.environ["AIODUCT_TEST_RUNTIMES"].split(","):
        matches(out, rf"\n{name} +(ok|skip) +\S+ +1\.\d+ ")
    matches(out, r"\nepoll +ok .*built in\n")
    matches(out, r"\nselected: \w+ \(automatic\)\n")
    matches(w.ok("plugins", env={**NONE, "AIODUCT_RUNTIME": "epoll"}).decode(),
            r"\nselected: epoll \(AIODUCT_RUNTIME\)\n")


@case
def connectors_are_in_the_list_too(w):
    folder = os.environ.get("AIODUCT_TEST_CONNECTORS")
    if not folder:
        raise Skip("built without the examples")
    env = {**NONE, "AIODUCT_PLUGIN_PATH": folder}
    out = w.ok("plugins", env=env).decode()
    matches(out, rf"\ncount +ok +connector,layer +1\.\d+ +1\.0\.0 +{folder}/libaioduct-cx-count\.so\n")
    said = json.loads(w.ok("plugins", "--json", env=env))
    equal([c["name"] for c in said["connectors"]], ["count", "unix"])
    assert "count" not in [r["name"] for r in said["runtimes"]]
    for what in "count", f"{folder}/libaioduct-cx-count.so":
        out = w.ok("plugins", "inspect", what, env=env).decode()
        matches(out, r"kind +connector\n(.*\n)*interfaces +aioduct\.connector/1\n")


@case
def json_says_the_same_to_programs(w):
    said = json.loads(w.ok("plugins", "--json", env={**NONE, "AIODUCT_RUNTIME": "epoll"}))
    names = {r["name"] for r in said["runtimes"]}
    assert set(os.environ["AIODUCT_TEST_RUNTIMES"].split(",")) <= names, names
    equal(said["selected"]["name"], "epoll")
    equal(said["selected"]["source"], "AIODUCT_RUNTIME")
    out, _ = w.fails(2, "plugins", "--json", env={**NONE, "AIODUCT_RUNTIME": "nonesuch"})
    said = json.loads(out)
    equal(said["selected"], None)
    matches(said["error"], "nonesuch")


@case
def the_config_file_is_named_with_its_line(w):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "c.conf")
        with open(path, "w", encoding="ascii") as f:
            f.write("# comment\nruntime = epoll\n")
        out = w.ok("plugins", env={**NONE, "AIODUCT_CONFIG": path}).decode()
        matches(out, rf"selected: epoll \({path}:2\)")
        with open(path, "a", encoding="ascii") as f:
            f.write("colour = blue\n")
        _, err = w.fails(2, w.nginx.url("/hello.txt"), env={**NONE, "AIODUCT_CONFIG": path})
        matches(err, rf"{path}:3: .*colour")


@case
def a_config_file_that_others_may_write_is_refused(w):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "c.conf")
        with open(path, "w", encoding="ascii") as f:
            f.write("runtime = epoll\n")
        os.chmod(path, 0o666)
        for args in ([w.nginx.url("/hello.txt")], ["plugins"]):
            _, err = w.fails(2, *args, env={**NONE, "AIODUCT_CONFIG": path})
            matches(err, rf"refusing the configuration file {path}: world-writable")
            matches(err, "chmod go-w")


@case
def options_of_a_runtime_are_checked_with_file_and_line(w):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "c.conf")
        for text, said in (("\nruntime.epoll.bogus = 1\n", ":2: the runtime 'epoll' has no option 'bogus'"),
                           ("runtime.uring.entries = many\n", ":1: runtime 'uring': option uring.entries is 'many'")):
            name = re.search(r"runtime\.(\w+)", text).group(1)
            if name not in os.environ["AIODUCT_TEST_RUNTIMES"].split(","):
                continue
            with open(path, "w", encoding="ascii") as f:
                f.write(text)
            os.chmod(path, 0o644)
            _, err = w.fails(2, "--runtime", name, w.nginx.url("/hello.txt"), env={**NONE, "AIODUCT_CONFIG": path})
            if "unavailable" in err:
                continue
            assert path + said in err, err


@case
def the_log_goes_where_the_environment_says(w):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "log")
        url = w.nginx.url("/hello.txt?q=secret").replace("http://", "http://me:secret@")
        out, err = [w.run(url, env={**NONE, "AIODUCT_LOG": "trace:" + path})[i] for i in (1, 2)]
        equal((out, err), (b"hello, world\n", ""))
        with open(path, encoding="utf-8") as f:
            text = f.read()
        matches(text, r"(?m)^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z \d+ debug conn 1: dial: localhost:\d+$")
        matches(text, r"trace exchange 0 conn 1: > GET /hello\.txt\?\[hidden\]\n")
        matches(text, r"> Authorization: \[hidden\]\n")
        assert "secret" not in text and "bWU6c2VjcmV0" not in text, text
        equal(os.stat(path).st_mode & 0o777, 0o600)
        w.run(url, env={**NONE, "AIODUCT_LOG": "trace:" + path, "AIODUCT_LOG_SECRETS": "1"})
        with open(path, encoding="utf-8") as f:
            matches(f.read(), "q=secret.*Basic bWU6c2VjcmV0")
        _, _, err = w.run(url, env={**NONE, "AIODUCT_LOG": "debug"})
        matches(err, "debug exchange 0 conn 1: done: status 200, 13 bytes of body")
        assert "> GET" not in err, err
    for value, said in (("loud", "no level 'loud'"), ("info:/nonexistent/x", "cannot write /nonexistent/x")):
        _, err = w.fails(2, url, env={**NONE, "AIODUCT_LOG": value})
        matches(err, "AIODUCT_LOG: " + said)


@case
def an_unknown_runtime_is_an_order_that_cannot_be_followed(w):
    for args, env in ((["--runtime", "nonesuch"], {}), ([], {"AIODUCT_RUNTIME": "nonesuch"})):
        out, err = w.fails(2, *args, w.nginx.url("/hello.txt"), env={**NONE, **env})
        equal(out, b"")
        matches(err, r"runtime 'nonesuch' not found.*Tried: .*libaioduct-rt-nonesuch\.so")
    _, err = w.fails(2, "--runtime", "../evil", w.nginx.url("/hello.txt"), env=NONE)
    matches(err, r"\.\./evil")


@case
def a_connector_that_cannot_be_had_is_told_with_whose_word_it_was(w):
    url = w.nginx.url("/hello.txt")
    for word, said in (("BAD", r"'BAD' is not the name of a connector"), ("./x.so", r"'\./x\.so' is a relative path"),
                       ("a,,b", r"'a,,b' has an empty element"), (",".join("abcdefghi"), "more than 8 connectors"),
                       ("/no/libaioduct-cx-x.so", "connector plugin /no/libaioduct-cx-x.so not found"),
                       ("nonesuch", "connector 'nonesuch' not found")):
        _, err = w.fails(2, "--connector", word, url, env=NONE)
        matches(err, rf"^aioduct: \(2\) --connector: .*{said}")
        assert "--runtime" not in err, err
    _, err = w.fails(2, "--connector", "", url, env=NONE)
    matches(err, r"option --connector: '' is not.*\n.*hint: .*none")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "c.conf")
        with open(path, "w", encoding="ascii") as f:
            f.write("\nconnector = nonesuch\n")
        os.chmod(path, 0o600)
        env = {**NONE, "AIODUCT_PLUGIN_PATH": folder, "AIODUCT_CONFIG": path}
        _, err = w.fails(2, "--runtime", "epoll", url, env=env)
        matches(err, rf"{path}:2: connector 'nonesuch' not found\. ")
        assert not re.search(r"Known here: [^.]*epoll", err), err  # the runtime's own is of no use to others
        _, err = w.fails(2, "--runtime", "epoll", url, env={**env, "AIODUCT_CONNECTOR": "nonesuch"})
        matches(err, r"AIODUCT_CONNECTOR: connector 'nonesuch' not found")


@case
def the_connector_of_another_runtime_is_refused_with_what_to_do(w):
    name = next((n for n in os.environ["AIODUCT_TEST_RUNTIMES"].split(",") if n.startswith("libev")), None)
    if not name:
        raise Skip("no other runtime that always runs")
    _, err = w.fails(2, "--runtime", name, "--connector", "epoll", w.nginx.url("/hello.txt"), env=NONE)
    matches(err, rf"--connector: connector 'epoll' \(built in\) names no runtime .*'{name}'\n"
                 r".*hint: It belongs to the runtime 'epoll': choose that, or another connector\.")


@case
def each_verb_shows_its_usage_when_asked(w):
    for words in ([], ["which"], ["inspect"]):
        for word in "--help", "-h":
            matches(w.ok("plugins", *words, word, env=NONE).decode(), r"^usage: aioduct plugins ")


@case
def a_list_falls_through_and_says_so_once(w):
    code, out, err = w.run("--runtime", "nonesuch,epoll", w.nginx.url("/hello.txt"), env=NONE)
    equal((code, out), (0, b"hello, world\n"), err)
    equal(err.count("nonesuch"), 1, err)


@case
def without_any_plugin_file_epoll_serves(w):
    with tempfile.TemporaryDirectory() as empty:
        env = {**NONE, "AIODUCT_PLUGIN_PATH": empty}
        for found in json.loads(w.ok("plugins", "--json", env=env))["runtimes"]:
            if found["from"] != "built in":
                raise Skip(f"installed where this build looks too: {found['from']}")
        out = w.ok("-w", "%{runtime}", w.nginx.url("/hello.txt"), env=env)
        equal(out, b"hello, world\nepoll")


# ---- inspect ----


def a_plugin_file():
    """-> (name, path) of a runtime that is a file of its own in this build."""
    for folder in os.environ["AIODUCT_PLUGIN_PATH"].split(":"):
        for name in os.environ["AIODUCT_TEST_RUNTIMES"].split(","):
            path = os.path.join(folder, f"libaioduct-rt-{name}.so")
            if os.path.exists(path):
                return name, path
    raise Skip("this build has no plugin files")


def a_copy(folder, change=lambda data: data):
    name, path = a_plugin_file()
    with open(path, "rb") as f:
        data = f.read()
    copy = os.path.join(folder, os.path.basename(path))
    changed = change(data)
    with open(copy, "wb") as f:
        f.write(changed)
    os.chmod(folder, 0o755)
    os.chmod(copy, 0o644)
    return name, copy


@case
def inspect_says_what_the_note_of_a_file_says(w):
    name, path = a_plugin_file()
    real = os.stat(path)
    for what in (name, path, os.path.relpath(path)):
        out = w.ok("plugins", "inspect", what, env=NONE).decode()
        matches(out, rf"(?m)^name +{name}$")
        matches(out, r"(?m)^version +not in the note$")
        matches(out, r"(?m)^abi +1\.\d+, needs 1\.0$")
        matches(out, r"(?m)^kind +runtime and connector$")
        matches(out, r"(?m)^interfaces +aioduct\.runtime/1, aioduct\.runtime\.(poll|local)/1.*, aioduct\.connector/1$")
        matches(out, rf"(?m)^from +/.*libaioduct-rt-{name}\.so$")
        matches(out, rf"(?m)^owner +{real.st_uid}( \(.*\))?$")
        matches(out, rf"(?m)^mode +0*{real.st_mode & 0o7777:o}$")
        matches(out, r"(?m)^problem +none found$")


@case
def inspect_tells_of_what_is_linked_in(w):
    out = w.ok("plugins", "inspect", "epoll", env=NONE).decode()
    matches(out, r"(?m)^version +\d+\.\d+\.\d+$")
    matches(out, r"(?m)^from +built in$")
    assert "owner" not in out, out


@case
def inspect_loads_nothing(w):
    name, _ = a_plugin_file()
    env = {**NONE, "AIODUCT_LOG": "debug", "AIODUCT_DEBUG": "plugins"}
    _, _, err = w.run("plugins", "inspect", name, env=env)
    matches(err, "plugins: .*note abi=1")
    assert "dlopen" not in err, err
    _, _, err = w.run("plugins", "which", name, env=env)
    matches(err, "plugins: .*dlopen")  # so that is how it would be seen


@case
def inspect_has_the_loaders_words_for_what_is_wrong(w):
    with tempfile.TemporaryDirectory() as folder:
        for change, said in (
                (lambda d: d.replace(b"abi=1.", b"abi=2."), r"AIODUCT_E_PLUGIN_ABI: .*ABI 2;"),
                (lambda d: d.replace(b";name=", b";nome="), r"AIODUCT_E_PLUGIN_INVALID: .*abi, needs, name and caps"),
                (lambda d: d[:100], r"AIODUCT_E_PLUGIN_INVALID: .*truncated"),
                (lambda d: b"#!/bin/sh\n" * 20, r"AIODUCT_E_PLUGIN_INVALID: .*is not an aioduct plugin")):
            _, copy = a_copy(folder, change)
            out, err = w.fails(2, "plugins", "inspect", copy, env=NONE)
            matches(out.decode(), rf"(?m)^problem +{said}")
            equal(err, "")
            _, loaders = w.fails(2, "--runtime", copy, w.nginx.url("/hello.txt"), env=NONE)
            problem = re.search(r"(?m)^problem +\w+: (.*)$", out.decode()).group(1)
            assert problem in loaders, (problem, loaders)


@case
def inspect_tells_of_an_unsafe_place_and_of_the_content(w):
    with tempfile.TemporaryDirectory() as folder:
        name, copy = a_copy(folder)
        os.chmod(copy, 0o666)
        out = w.fails(2, "plugins", "inspect", copy, env=NONE)[0].decode()
        matches(out, rf"(?m)^name +{name}$")
        matches(out, r"(?m)^mode +0666$")
        matches(out, rf"(?m)^problem +AIODUCT_E_PLUGIN_UNSAFE: refusing {copy}: world-writable$")
        matches(out, r"(?m)^hint +Make it owned by root")
        equal(out.count("problem"), 1)
        with open(copy, "wb") as f:
            f.write(b"nothing")
        out = w.fails(2, "plugins", "inspect", copy, env=NONE)[0].decode()
        equal(re.findall(r"(?m)^problem +(\w+)", out), ["AIODUCT_E_PLUGIN_UNSAFE", "AIODUCT_E_PLUGIN_INVALID"])


@case
def inspect_refuses_what_is_no_plugin_and_no_name(w):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        fifo = os.path.join(folder, "libaioduct-rt-fifo.so")
        os.mkfifo(fifo, 0o644)
        out = w.fails(2, "plugins", "inspect", fifo, env=NONE)[0].decode()
        matches(out, r"problem +AIODUCT_E_PLUGIN_INVALID: .* is a FIFO, not a plugin file")
        _, err = w.fails(2, "plugins", "inspect", folder + "/libaioduct-rt-none.so", env=NONE)
        matches(err, "not found: no such file")
    for what, said in (("nonesuch", r"runtime 'nonesuch' not found\. Tried: .*libaioduct-rt-nonesuch\.so"),
                       ("epoll,libev", "'epoll,libev' is not one runtime"), ("auto", "'auto' is not one runtime"),
                       ("Nonesuch", "is not the name of a runtime"), ("/etc/passwd", "is not the path of a file called")):
        _, err = w.fails(2, "plugins", "inspect", what, env=NONE)
        matches(err, said)
    for args, said in ((["inspect"], "no name or path after 'inspect'"), (["inspect", "a", "b"], "unknown argument 'b'"),
                       (["which", "a", "b"], "unknown argument 'b'"), (["frobnicate"], "unknown argument 'frobnicate'"),
                       (["inspect", "--need", "local", "a"], "unknown argument '--need'"),
                       (["which", "--need"], "no value after '--need'"),
                       (["which", "--need", "poll"], "--need: expected local or send, not 'poll'")):
        _, err = w.fails(2, "plugins", *args, env=NONE)
        matches(err, said)
        matches(err, r"usage: aioduct plugins .*\n +aioduct plugins inspect .*\n +aioduct plugins which ")


# ---- which ----


@case
def which_says_whose_word_decides_and_whose_does_not(w):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "c.conf")
        with open(path, "w", encoding="ascii") as f:
            f.write("\nruntime = nonesuch\n")
        os.chmod(path, 0o644)
        all_of_them = {"AIODUCT_RUNTIME": "nonesuch,epoll", "AIODUCT_CONFIG": path}
        out = w.ok("plugins", "which", "epoll", env=all_of_them).decode()
        equal(out, "decides   option: epoll\nunheeded  AIODUCT_RUNTIME: nonesuch,epoll\n"
                   f"unheeded  {path}:2: nonesuch\nunheeded  automatic: auto\n"
                   "tried     epoll: ok, built in\nselected  epoll\n")
        out = w.ok("plugins", "which", env=all_of_them).decode()
        matches(out, r"^decides   AIODUCT_RUNTIME: nonesuch,epoll\n")
        matches(out, r"\ntried     nonesuch: error\n +reason: runtime 'nonesuch' not found.*\n(.*\n)?tried     epoll: ok")
        out, err = w.fails(2, "plugins", "which", env={**all_of_them, "AIODUCT_RUNTIME": None})
        matches(out.decode(), rf"^decides   {path}:2: nonesuch\nunheeded  automatic: auto\ntried     nonesuch: error\n")
        matches(out.decode(), r"\nselected  none\n$")
        matches(err, "runtime 'nonesuch' not found")
    out = w.ok("plugins", "which", env=NONE).decode()
    matches(out, r"^decides   automatic: auto\ntried     uring: ")
    chosen = re.search(r"(?m)^selected  (\w+)$", out).group(1)
    equal(re.findall(r"(?m)^tried +(\w+): ok", out), [chosen])
    matches(out, rf"\ntried     {chosen}: ok, .*\nselected  {chosen}\n$")


@case
def which_takes_a_path_that_the_program_names(w):
    name, path = a_plugin_file()
    code, out, err = w.run("plugins", "which", path, env=NONE)
    matches(out.decode(), rf"^decides   option: {path}\n(.*\n)*tried     {name}: (ok|skip), {path}\n")
    assert code == (0 if f"{name}: ok" in out.decode() else 2), err
    with tempfile.TemporaryDirectory() as folder:
        _, copy = a_copy(folder, lambda d: d.replace(b"abi=1.", b"abi=2."))
        out = w.fails(2, "plugins", "which", copy, env=NONE)[0].decode()
        matches(out, rf"tried     {copy}: error\n +reason: .*ABI 2;")


@case
def which_takes_what_the_client_needs(w):
    with_local = {**NONE, "AIODUCT_RUNTIME": "epoll"}
    out, err = w.fails(2, "plugins", "which", "--need", "local", env=with_local)
    matches(out.decode(), r"tried     epoll: error, built in\n +reason: .* asked for local \(bound to one thread\)\n")
    matches(err, "asked for local")
    out = w.ok("plugins", "which", "--need", "send", "epoll", env=NONE).decode()
    matches(out, r"\nselected  epoll\n$")
    if "uring" in os.environ["AIODUCT_TEST_RUNTIMES"].split(","):
        out = w.run("plugins", "which", "--need", "send", "uring,epoll", env=NONE)[1].decode()
        matches(out, r"tried     uring: error\n +reason: .* asked for send .*selected  epoll\n$")


@case
def json_of_which_and_of_inspect_say_the_same(w):
    said = json.loads(w.ok("plugins", "which", "--json", "nonesuch,epoll", env={**NONE, "AIODUCT_RUNTIME": "x"}))
    equal([(e["source"], e["word"]) for e in said["words"]],
          [("option", "nonesuch,epoll"), ("AIODUCT_RUNTIME", "x"), ("automatic", "auto")])
    equal([(e["name"], e["status"]) for e in said["tried"]], [("nonesuch", "error"), ("epoll", "ok")])
    equal(said["selected"]["name"], "epoll")
    said = json.loads(w.fails(2, "plugins", "which", "nonesuch", "--json", env=NONE)[0])
    equal(said["selected"], None)
    matches(said["error"], "nonesuch")
    said = json.loads(w.ok("plugins", "inspect", "--json", "epoll", env=NONE))
    equal((said["name"], said["from"], said["problems"]), ("epoll", "built in", []))
    name, path = a_plugin_file()
    said = json.loads(w.ok("plugins", "inspect", path, "--json", env=NONE))
    equal((said["name"], said["from"], said["needs"], said["problems"]), (name, path, "1.0", []))
    equal(said["mode"], f"{os.stat(path).st_mode & 0o7777:04o}")
    with tempfile.TemporaryDirectory() as folder:
        _, copy = a_copy(folder, lambda d: d.replace(b"abi=1.", b"abi=2."))
        os.chmod(copy, 0o666)
        said = json.loads(w.fails(2, "plugins", "inspect", "--json", copy, env=NONE)[0])
        equal([p["error"] for p in said["problems"]], ["AIODUCT_E_PLUGIN_UNSAFE", "AIODUCT_E_PLUGIN_ABI"])


# ---- what a client made now would say ----


def a_config(folder, text):
    path = os.path.join(folder, "c.conf")
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    os.chmod(path, 0o644)
    return path


@case
def what_is_set_and_changes_nothing_is_told(w):
    path_now = os.environ["AIODUCT_PLUGIN_PATH"]
    with tempfile.TemporaryDirectory() as folder:
        absent, file = os.path.join(folder, "absent"), os.path.join(folder, "file")
        open(file, "w", encoding="ascii").close()
        path = a_config(folder, f"runtime = epoll\nruntime.other.size = 1\nplugin_directory = {absent}\n")
        env = {**NONE, "AIODUCT_CONFIG": path, "AIODUCT_PLUGIN_PATH": f"{absent}2:{path_now}:{file}:"}
        expected = [(f"{path}:3", f"{absent}: No such file or directory"),
                    ("AIODUCT_PLUGIN_PATH", f"{absent}2: No such file or directory"),
                    ("AIODUCT_PLUGIN_PATH", f"{file}: Not a directory"),
                    (f"{path}:2", "runtime.other.size: the runtime is 'epoll'")]
        code, out, err = w.run("plugins", env=env)
        equal((code, err), (0, ""))  # none of it is an error
        lines = "".join(f"unheeded: {source}: {what}\n" for source, what in expected)
        assert out.decode().endswith(f"{lines}selected: epoll ({path}:1)\n"), out
        lines = "".join(f"unheeded  {source}: {what}\n" for source, what in expected)
        out = w.ok("plugins", "which", env=env).decode()
        assert out.endswith(f"tried     epoll: ok, built in\n{lines}selected  epoll\n"), out
        for verb in [], ["which"]:
            said = json.loads(w.ok("plugins", *verb, "--json", env=env))
            equal([(u["source"], u["what"]) for u in said["unheeded"]], expected)
            said = json.loads(w.ok("plugins", *verb, "--json", env=NONE))
            equal(said["unheeded"], [])
        # of what is not chosen nothing more is known
        out, _ = w.fails(2, "plugins", "which", "nonesuch", env=env)
        equal(len(re.findall(r"(?m)^unheeded  (?:AIODUCT_PLUGIN_PATH|/.*:3): ", out.decode())), 3)
        assert "other.size" not in out.decode(), out
        # a transfer has no word of it
        equal(w.run(w.nginx.url("/hello.txt"), env=env)[2].count("2: "), 0)


@case
def what_is_refused_is_told_once_and_by_its_name(w):
    out, err = w.fails(2, "plugins", "which", env={**NONE, "AIODUCT_PLUGIN_PATH": "relative/x"})
    assert "unheeded  AIODUCT_PLUGIN_PATH" not in out.decode(), out
    matches(err, "AIODUCT_PLUGIN_PATH: 'relative/x' is not an absolute path")
    matches(w.fails(2, "plugins", "which", "nosuch", env=NONE)[1], "^aioduct: argument: runtime 'nosuch' not found")
    matches(w.fails(2, "plugins", "--runtime", "nosuch", env=NONE)[1], "^aioduct: --runtime: runtime 'nosuch' not found")
    with tempfile.TemporaryDirectory() as folder:
        open(os.path.join(folder, "libaioduct-cx-other.so"), "w", encoding="ascii").close()
        env = {**NONE, "AIODUCT_PLUGIN_PATH": folder, "AIODUCT_RUNTIME": "other"}
        matches(w.fails(2, "plugins", "which", env=env)[1], "hint: 'other' is a connector")


@case
def what_a_client_would_refuse_is_not_selected(w):
    with tempfile.TemporaryDirectory() as folder:
        path = a_config(folder, "runtime = epoll\nruntime.epoll.bogus = 1\n")
        refused = [({"AIODUCT_CONFIG": path}, rf"{path}:2: the runtime 'epoll' has no option 'bogus'"),
                   ({"AIODUCT_RUNTIME": "epoll", "AIODUCT_CONNECTOR": "nonesuch"},
                    "AIODUCT_CONNECTOR: connector 'nonesuch' not found")]
        for env, why in refused:
            _, told = w.fails(2, w.nginx.url("/hello.txt"), env={**NONE, **env})
            matches(told, why)
            out, err = w.fails(2, "plugins", env={**NONE, **env})
            matches(out.decode(), r"\nepoll +ok .*\nselected: none\n$")
            matches(err, why)
            for options in [], ["--need", "send"]:
                out, err = w.fails(2, "plugins", "which", *options, env={**NONE, **env})
                matches(out.decode(), r"\ntried     epoll: ok, built in\nselected  none\n$")
                matches(err, why)
            said = json.loads(w.fails(2, "plugins", "which", "--json", env={**NONE, **env})[0])
            equal(said["selected"], None)
            matches(said["error"], why)
        # what another runtime would make of it is another question
        equal(w.run("plugins", "which", "auto", env={**NONE, "AIODUCT_CONFIG": path})[1].count(b"selected  "), 1)


@case
def a_connector_that_fits_is_no_news(w):
    folder = os.environ.get("AIODUCT_TEST_CONNECTORS")
    if not folder:
        raise Skip("built without the examples")
    env = {**NONE, "AIODUCT_RUNTIME": "epoll", "AIODUCT_CONNECTOR": f"{folder}/libaioduct-cx-count.so"}
    matches(w.ok("plugins", env=env).decode(), r"\nselected: epoll \(AIODUCT_RUNTIME\)\n$")


# ---- plugins that do not come back ----


def bad_plugin(folder, name):
    os.chmod(folder, 0o755)
    file = f"libaioduct-rt-{name}.so"
    shutil.copy(os.path.join(os.environ["AIODUCT_TEST_BAD_PLUGINS"], file), folder)
    os.chmod(os.path.join(folder, file), 0o644)
    return {**NONE, "AIODUCT_PLUGIN_PATH": folder}


@case
def a_plugin_that_dies_is_a_line_of_the_list(w):
    with tempfile.TemporaryDirectory() as folder:
        env = bad_plugin(folder, "dies")
        out = w.ok("plugins", env=env).decode()
        matches(out, r"\nepoll +ok ")
        matches(out, r"\ndies +error +poll,connector +1\.0 .*\n +reason: ended by signal 9 \(Killed\), while .*\n +hint: ")
        matches(out, r"\nselected: epoll \(automatic\)\n")
        said = json.loads(w.ok("plugins", "--json", env=env))
        equal({r["name"]: r["status"] for r in said["runtimes"]}, {"epoll": "ok", "dies": "error"})
        out, err = w.fails(2, "plugins", "--runtime", "dies", env=env)
        matches(out.decode(), r"\nselected: none\n$")
        matches(err, "ended by signal 9")
        out, err = w.fails(2, "plugins", "which", "nonesuch,dies", env=env)
        matches(out.decode(), r"^decides   option: nonesuch,dies\n.*tried     nonesuch: error.*\nselected  none\n$")
        matches(err, "ended by signal 9")
        out = w.ok("plugins", "inspect", "dies", env=env).decode()  # which runs nothing of it
        matches(out, r"problem +none found")


@case
def a_plugin_that_hangs_is_given_up(w):
    with tempfile.TemporaryDirectory() as folder:
        env = bad_plugin(folder, "hangs")
        out = w.run("plugins", "--timeout", "2", env=env)[1].decode()
        matches(out, r"\nhangs +error .*\n +reason: no answer within 2 s, while ")
        _, err = w.fails(2, "plugins", "which", "--timeout", "1", "hangs", env=env)
        matches(err, "no answer within 1 s")
    for value in ("0", "-1", "x", "", "9999"):
        _, err = w.fails(2, "plugins", "--timeout", value, env=NONE)
        matches(err, "--timeout: expected seconds from 1 to 3600, not '" + value)


@case
def version_names_the_runtime(w):
    out = w.ok("--version", env={**NONE, "AIODUCT_RUNTIME": "epoll"}).decode()
    matches(out, r"^aioduct \d+\.\d+\.\d+\nRuntime: epoll ")


@case
def help_lists_every_option(w):
    out = w.ok("--help").decode()
    for option in ("--runtime", "--cacert", "-T, --upload-file", "--connect-to"):
        assert option in out, option


sys.exit(main())
