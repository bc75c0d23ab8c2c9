#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/CORRECTNESS.md and the tests name each other: each row in scope has its line, each case that a line
names is in a source that a test is built from, and a case whose name starts with a row's number stands in
that row's line.

TAP on standard output. Usage: correctness.py SOURCE_ROOT BUILD_ROOT RUNTIME...
"""
import json
import os
import re
import sys

SCOPE = ("C1-C25 C30 C31 C33-C64 C74-C80 C105-C108 C117-C122 C124 C125 C127")
STRING = r'"(?:\\.|[^"\\\n])*"'
# What starts a case in the sources: the first literal in braces or in a CASE macro, and identifiers.
LITERAL = re.compile(r"(?:\{|\b[A-Z_]*CASES?\(|\btest_format\()\s*((?:%s\s*)+)" % STRING)
IDENTIFIER = re.compile(r"\b(?:CT_(?:FILE_|PLUGIN_|BARE_)?CASE|cmocka_unit_test\w*|LOOP_TEST)\(\s*(\w+)")
NUMBERS = re.compile(r"^(C\d+(?:, C\d+)*): ")


def scope():
    for part in SCOPE.split():
        low, _, high = part.partition("-")
        for number in range(int(low[1:]), int((high or low)[1:]) + 1):
            yield f"C{number}"


def table(lines, columns):
    """Lines of a table whose first cell is a row's number -> number, other cells."""
    for line in lines:
        cells = [c.strip() for c in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if re.fullmatch(r"C\d+", cells[0]):
            yield cells[0], cells[1:], len(cells) == columns


def named_cases(cell):
    """`suite/file.c`: "case", "case"; ... -> (file, case)"""
    for part in re.split(r"(?=`[\w./-]+`:)", cell):
        m = re.match(r"`([\w./-]+)`:", part)
        if m:
            for case in re.findall(r'"([^"]+)"', part):
                yield m.group(1), case


def place(root, name):
    return os.path.join(root, name if name.startswith("kit/") else os.path.join("tests", name))


def cases_of(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    text = re.sub(r"(%s)|/\*.*?\*/|//[^\n]*" % STRING, lambda m: m.group(1) or " ", text, flags=re.S)
    found = set()
    for m in LITERAL.finditer(text):
        pieces = re.findall(STRING, m.group(1))
        found.add("".join(piece[1:-1] for piece in pieces).replace('\\"', "'"))
    found.update(IDENTIFIER.findall(text))
    return found


def built(build_root):
    """Sources of the programs that tests run."""
    def load(name):
        with open(os.path.join(build_root, "meson-info", name), encoding="utf-8") as f:
            return json.load(f)
    run = {word for test in load("intro-tests.json") for word in test["cmd"]}
    sources = set()
    for target in load("intro-targets.json"):
        # The kit's program has its cases in its library.
        if any(name in run for name in target["filename"]) or target["name"] == "aioduct-kit":
            for group in target["target_sources"]:
                sources.update(os.path.realpath(s) for s in group.get("sources", []))
    return sources


def check(root, build_root, runtimes):
    with open(os.path.join(root, "docs/CORRECTNESS.md"), encoding="utf-8") as f:
        page = f.read()
    head, _, open_rows = page.partition("\n## Not yet")
    open_rows = open_rows.partition("\n## ")[0]
    proven, waiting, form = {}, {}, []
    for number, cells, whole in table(head.split("\n"), 5):
        if not whole or number in proven:
            form.append(f"{number}: five columns, one line a row")
            continue
        proven[number] = list(named_cases(cells[1]))
        if not proven[number]:
            form.append(f"{number}: names no case; a row without a test belongs under 'Not yet'")
    for number, cells, whole in table(open_rows.split("\n"), 2):
        waiting[number] = cells
        if not whole or cells[0] == "":
            form.append(f"{number}: under 'Not yet' without a reason")
    missing = [f"{n} is in scope and not on the page" for n in scope() if n not in proven and n not in waiting]
    missing += [f"{n} is proven and under 'Not yet'" for n in waiting if n in proven and "rest: " not in waiting[n][0]]

    sources, known, unreal = built(build_root), {}, []
    for number, entries in proven.items():
        for name, case in entries:
            path = place(root, name)
            if name not in known:
                known[name] = cases_of(path) if os.path.isfile(path) else None
            absent = [r for r in ("uring", "libev", "libevent") if r not in runtimes and r in name]
            if known[name] is None:
                unreal.append(f"{number}: no file {name}")
            elif os.path.realpath(path) not in sources and not absent:
                unreal.append(f"{number}: {name} is built for no test")
            elif case.endswith("..."):
                if not any(c.startswith(case[:-3]) for c in known[name]):
                    unreal.append(f"{number}: {name} has no case that begins with {case[:-3]!r}")
            elif case not in known[name]:
                unreal.append(f"{number}: {name} has no case {case!r}")

    unnamed = []
    for folder, _, files in sorted(os.walk(os.path.join(root, "tests"))):
        for file in sorted(files):
            path = os.path.join(folder, file)
            name = os.path.relpath(path, os.path.join(root, "tests"))
            for case in sorted(cases_of(path)) if file.endswith(".c") else ():
                m = NUMBERS.match(case)
                for number in m.group(1).split(", ") if m else ():
                    entries = proven.get(number, [])
                    there = any(f == name and (c == case or c.endswith("...") and case.startswith(c[:-3]))
                                for f, c in entries)
                    if not there and (number in proven or number in scope()):
                        unnamed.append(f"tests/{name}: {case!r} is not in the line of {number}")
    count = sum(1 for _ in scope())
    done = sum(1 for n in scope() if n in proven)
    note = f"{done} of {count} rows have tests, {len(waiting)} lines under 'Not yet'"
    return [
        ("the page has its form", form, note),
        ("every row in scope is on the page", missing, ""),
        ("every case that the page names is built and run", unreal, ""),
        ("every case that carries a number is on the page", unnamed, ""),
    ]


def main():
    checks = check(sys.argv[1], sys.argv[2], sys.argv[3:])
    print(f"1..{len(checks)}")
    for number, (name, bad, note) in enumerate(checks, 1):
        print(f"{'not ok' if bad else 'ok'} {number} - {name}")
        for line in ([note] if note else []) + bad[:60]:
            print(f"# {line}")
    return 1 if any(bad for _, bad, _ in checks) else 0


sys.exit(main())
