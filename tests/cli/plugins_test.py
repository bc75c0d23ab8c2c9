#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""aioduct plugins, --version, and what is said when a runtime cannot be had."""
import json
import os
import sys
import tempfile

from harness import case, equal, main, matches

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
        out = w.ok("-w", "%{runtime}", w.nginx.url("/hello.txt"), env={**NONE, "AIODUCT_PLUGIN_PATH": empty})
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
