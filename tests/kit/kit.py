#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The kit itself: what it says and with which status it ends, as a command and as a library.

TAP on standard output. Usage: kit.py AIODUCT VENDOR [PLUGIN]
"""
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree

AIODUCT, VENDOR = sys.argv[1:3]
CONNECTORS = os.environ.get("AIODUCT_TEST_CONNECTORS")
PLUGIN = sys.argv[3] if len(sys.argv) > 3 else None


def run(*words):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def check(*words):
    return run(AIODUCT, "plugins", "check", *words)


def expect(got, status, *patterns):
    """What is wrong with a run, if anything."""
    code, out, err = got
    bad = [] if code == status else [f"status {code}, not {status}"]
    bad += [f"no {p!r} in the output" for p in patterns if not re.search(p, out + err, re.S)]
    return bad and bad + (out + err).splitlines()[:30]


def a_good_plugin_passes():
    return expect(check("--only", "RT-8", "--verbose", "epoll"), 0,
                  r"built in: epoll", r"passed +RT-8 +a_spawned_task_runs_once\n", r"by poll_fd", r"\d+ passed, 0 failed")


def words_choose_cases():
    bad = expect(check("--only", "RT-8", "--only", "plugin", "--skip", "*ten_thousand*", "--list", "epoll"), 0,
                 r"task +RT-8 +a_spawned_task_runs_once\n", r"plugin +PL-1")
    code, out, _ = check("--only", "RT-1", "--list", "epoll")
    bad += [f"RT-1 chooses {line}" for line in out.splitlines() if not re.search(r"\bRT-1\b", line)]
    code, out, _ = check("--list", "--skip", "PL", "--skip", "RT", "--skip", "CX", "epoll")
    return bad + [f"not skipped: {line}" for line in out.splitlines() if not re.search(r" ST-", line)]


def what_cannot_be_run_is_two():
    bad = []
    for words in (["nosuchplugin"], ["--only", "RT-999", "epoll"], ["--jobs", "x", "epoll"], ["--bad", "epoll"], [],
                  ["/nonexistent/libaioduct-rt-x.so"], ["--junit", "/nonexistent/x", "--only", "PL-2", "epoll"]):
        bad += expect(check(*words), 2)
    return bad


def what_cannot_be_run_says_why():
    bad = []
    for words, said in ((["--runtime", "nosuch", "epoll"], r"--runtime: no plugin 'nosuch'\. Tried: .*libaioduct-rt-nosuch"),
                        (["--jobs", "abc", "epoll"], r"--jobs 'abc': not a number"),
                        (["nosuch"], r"no plugin 'nosuch'\. Tried: .*AIODUCT_PLUGIN_PATH \(/nowhere\)"),
                        (["./nofile.so"], r"\./nofile\.so: No such file"), ([], r"which plugin\?"),
                        (["--only", "NOPE", "epoll"], r"no case matches.*--list")):
        got = run("env", "AIODUCT_PLUGIN_PATH=/nowhere", AIODUCT, "plugins", "check", *words)
        bad += expect(got, 2, said)
        bad += [f"usage after {words}"] if "usage:" in got[2] else []
    here = os.getcwd()
    with tempfile.TemporaryDirectory(prefix="aioduct-kit-") as to:
        open(os.path.join(to, "libaioduct-rt-x.so"), "w", encoding="ascii").close()
        command = os.path.abspath(AIODUCT)
        os.chdir(to)
        bad += expect(run(command, "plugins", "check", "libaioduct-rt-x.so"), 2, r"write \./libaioduct-rt-x\.so\n")
        os.chdir(here)
    return bad


def a_connector_that_needs_an_option_is_not_run():
    unix = os.path.join(CONNECTORS, "libaioduct-cx-unix.so")
    got = check("--runtime", "epoll", unix)
    bad = expect(got, 2, r"skipped \d+: the connector does not open: option path is not set.*; the kit sets no options\n",
                 r"[1-9]\d* passed, 0 failed")
    bad += expect(check("--runtime", "epoll", "--must-run", "--only", "connect", unix), 1, r"does not open: option path")
    count = os.path.join(CONNECTORS, "libaioduct-cx-count.so")
    return bad + expect(check("--runtime", "epoll", "--only", "a_connect_completes", count), 0, r"[1-9]\d* passed, 0 failed")


def tap_is_tap():
    code, out, _ = check("--tap", "--only", "PL", "epoll")
    lines = out.splitlines()
    plan = re.search(r"(?m)^1\.\.(\d+)$", out)
    numbers = [int(n) for n in re.findall(r"(?m)^ok (\d+) - ", out)]
    if code != 0 or lines[0] != "TAP version 13" or plan is None or numbers != list(range(1, int(plan[1]) + 1)):
        return [f"status {code}"] + lines
    return []


def junit_is_xml():
    with tempfile.TemporaryDirectory(prefix="aioduct-kit-") as to:
        path = os.path.join(to, "junit.xml")
        code, out, _ = check("--junit", path, "--only", "RT-8", "epoll")
        suite = ElementTree.parse(path).getroot().find("testsuite")
        cases = suite.findall("testcase")
        if code != 0 or int(suite.get("tests")) != len(cases) or len(cases) < 3:
            return [f"status {code}, {len(cases)} cases"] + out.splitlines()
    return []


def a_crash_hides_no_other_case():
    bad = expect(run(VENDOR, "crash", "task"), 1, r"FAILED +RT-\d+ ", r"seen +the process (was )?ended",
                 r"last call of the plugin: block_on", r"read +aioduct-plugin\(7\), RT-", r"again +--only")
    _, out, _ = run(VENDOR, "crash", "task")
    return bad + ([] if out.count("FAILED") > 5 else ["too few failures"])


def a_hang_is_ended():
    return expect(run(VENDOR, "hang", "a_spawned_task_runs_once"), 1, r"FAILED +RT-8 ", r"no result in 6 s",
                  r"last call of the plugin: block_on")


def a_plugin_that_ends_the_process_fails():
    return expect(run(VENDOR, "exit", "a_spawned_task_runs_once"), 1, r"FAILED +RT-8 ",
                  r"the process ended, but the case did not")


def what_the_host_sees_names_its_rule():
    """The case is about RT-8; the thread that is left is RT-2."""
    return expect(run(VENDOR, "thread", "a_spawned_task_runs_once"), 1, r"FAILED +RT-2 +a_spawned_task",
                  r"RT-2: \d+ threads before the case, \d+ after it", r"broken: RT-2\n")


def a_lost_wake_is_found():
    return expect(run(VENDOR, "deaf", "a_wake_while_the_task_runs_counts", "tap"), 1, r"not ok 1 - ", r"# rule +RT-9: ",
                  r"# broken +A request hangs", r"# seen ")


def a_file_is_checked_as_a_file():
    return expect(check("--only", "PL", "--verbose", PLUGIN), 0, r"PL-13 +it_exports_its_entry_alone",
                  r"PL-15 +it_is_linked_by_the_rules")


def another_file_is_refused():
    with tempfile.TemporaryDirectory(prefix="aioduct-kit-") as to:
        path = os.path.join(to, "libaioduct-rt-other.so")
        with open(PLUGIN, "rb") as have, open(path, "wb") as copy:
            copy.write(have.read())
        bad = expect(check("--only", "file", path), 1, r"FAILED +PL-1 +note_descriptor_and_file", r"broken: PL-1 PL-15\n")
        with open(path, "wb") as copy:
            copy.write(b"text")
        return bad + expect(check(path), 1, r"FAILED +PL-12 +it_loads", r"not a shared object")


CASES = [a_good_plugin_passes, words_choose_cases, what_cannot_be_run_is_two, what_cannot_be_run_says_why, tap_is_tap, junit_is_xml,
         a_crash_hides_no_other_case, a_hang_is_ended, a_plugin_that_ends_the_process_fails,
         what_the_host_sees_names_its_rule, a_lost_wake_is_found]
if CONNECTORS:
    CASES += [a_connector_that_needs_an_option_is_not_run]
if PLUGIN:
    CASES += [a_file_is_checked_as_a_file, another_file_is_refused]

print(f"TAP version 13\n1..{len(CASES)}")
failed = False
for number, case in enumerate(CASES, 1):
    wrong = case()
    failed = failed or bool(wrong)
    print("not ok" if wrong else "ok", number, "-", case.__name__.replace("_", " "))
    for line in wrong:
        print("#", line)
sys.exit(failed)
