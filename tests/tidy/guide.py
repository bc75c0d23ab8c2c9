#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/writing-a-runtime.md tells what is there: its pieces are the template, what it quotes of the libev
plugin stands there, it has every function of the tables, and the rules that it names exist. So does
docs/writing-a-connector.md: its pieces are one example, and what it quotes of another stands there.

TAP on standard output. Usage: guide.py SOURCE_ROOT
"""
import os
import re
import subprocess
import sys

ROOT = sys.argv[1]
GUIDE = "docs/writing-a-runtime.md"
CONNECTOR_GUIDE = "docs/writing-a-connector.md"


def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def blocks(name, guide=GUIDE):
    return re.findall(rf"(?ms)^```{re.escape(name)}\n(.*?)^```$", text_of(guide))


def typed(guide, path):
    """By the script that the walk uses, so that it is the same file."""
    name = os.path.basename(path)
    done = subprocess.run([os.path.join(ROOT, "tests/packages/blocks.sh"), os.path.join(ROOT, guide), f"c {name}"],
                          stdout=subprocess.PIPE, check=True)
    made, kept = done.stdout.decode().splitlines(), text_of(path).splitlines()
    for number, (a, b) in enumerate(zip(made, kept), 1):
        if a != b:
            return [f"{name}, line {number}: the guide has {a!r}, the example {b!r}"]
    return [] if len(made) == len(kept) else [f"{name}: the guide has {len(made)} lines, the example {len(kept)}"]


def template():
    return typed(GUIDE, "examples/runtime-template/pollrt.c")


def built(guide, path):
    missing = [name for name in ("sh build", "sh check", "sh run") if len(blocks(name, guide)) != 1]
    first = re.search(r"cc -std=c11 .*?\.so", text_of(path), re.S).group()
    plain = " ".join(re.sub(r"\\?\n \*?", " ", first).split())
    told = " ".join(blocks("sh build", guide)[0].replace("\\\n", " ").split()) if not missing else ""
    return [f"not one block {name!r}" for name in missing] + (
        [] if told == plain.replace(" \\ ", " ") else [f"the guide builds by {told!r}, the example by {plain!r}"])


def commands():
    return built(GUIDE, "examples/runtime-template/pollrt.c")


def connector_typed():
    here = "examples/connector-count/"
    return typed(CONNECTOR_GUIDE, here + "count.h") + typed(CONNECTOR_GUIDE, here + "count.c")


def connector_commands():
    return built(CONNECTOR_GUIDE, "examples/connector-count/count.c")


def quotes():
    source = text_of("plugins/libev/libev.c")
    found = blocks("c libev.c")
    return [f"not in libev.c: {q.splitlines()[0]!r} ..." for q in found if q not in source] or (
        [] if len(found) > 3 else ["no quotes were found"])


def functions():
    """Of the tables that a runtime fills in."""
    header = re.sub(r"/\*.*?\*/", "", text_of("include/aioduct/plugin/plugin.h"), flags=re.S)
    told = set(re.findall(r"`(\w+)`", "\n".join(line.split("|")[1] for line in text_of(GUIDE).split("\n")
                                                if line.startswith("| `"))))
    bad = []
    for table in ("runtime", "runtime_poll", "runtime_local", "connector"):
        body = re.search(rf"(?ms)^struct aioduct_{table} \{{(.*?)^\}};", header).group(1)
        bad += [f"{table}: {name} has no line" for name in re.findall(r"\(\*(\w+)\)", body) if name not in told]
    return bad


def connector_quotes():
    source = text_of("examples/connector-unix/unix.c")
    found = blocks("c unix.c", CONNECTOR_GUIDE)
    return [f"not in unix.c: {q.splitlines()[0]!r} ..." for q in found if q not in source] or (
        [] if found else ["no quotes were found"])


def rules():
    known = set(re.findall(r"(?m)^\| ([A-Z]{2}-\d+) \|", text_of("docs/CONTRACT.md")))
    named = set(re.findall(r"\b(?:PL|RT|CX|ST|FO|LY)-\d+\b", text_of(GUIDE) + text_of(CONNECTOR_GUIDE)))
    return [f"there is no rule {r}" for r in sorted(named - known)] or ([] if len(named) > 20 else ["too few rules"])


def main():
    checks = [("the pieces of the guide are the template", template),
              ("it builds, checks and runs by one command each, the template's", commands),
              ("what it quotes of the libev plugin stands there", quotes),
              ("it has every function of the tables", functions),
              ("the pieces of the connector's guide are the example that counts", connector_typed),
              ("that one builds, checks and runs by one command each, the example's", connector_commands),
              ("what the connector's guide quotes of the other example stands there", connector_quotes),
              ("the rules that they name exist", rules)]
    print(f"1..{len(checks)}")
    failed = False
    for number, (name, check) in enumerate(checks, 1):
        bad = check()
        failed = failed or bool(bad)
        print(f"{'not ok' if bad else 'ok'} {number} - {name}")
        for line in bad[:40]:
            print(f"# {line}")
    return 1 if failed else 0


sys.exit(main())
