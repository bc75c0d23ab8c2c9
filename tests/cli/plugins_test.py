#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""aioduct plugins, --version, and what is said when a runtime cannot be had."""
import json
import os
import re
import sys
import tempfile

from harness import Skip, case, equal, main, matches

NONE = {"AIODUCT_RUNTIME": None, "AIODUCT_CONFIG": "/dev/null"}


@case
def the_table_lists_every_runtime_and_who_chose(w):
    out = w.ok("plugins", env=NONE).decode()
    for name in os.environ["AIODUCT_TEST_RUNTIMES"].split(","):
        matches(out, rf"\n{name} +(ok|skip) +\S+ +1\.0 ")
    matches(out, r"\nepoll +ok .*built in\n")
    matches(out, r"\nselected: \w+ \(automatic\)\n")
    matches(w.ok("plugins", env={**NONE, "AIODUCT_RUNTIME": "epoll"}).decode(),
            r"\nselected: epoll \(AIODUCT_RUNTIME\)\n")


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
