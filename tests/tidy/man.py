#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The man pages say what the sources say: options, exit codes, variables, keys, errors, rules, headers.

TAP on standard output. Usage: man.py SOURCE_ROOT AIODUCT
"""
import glob
import os
import re
import shutil
import subprocess
import sys

ROOT, AIODUCT = sys.argv[1], os.path.abspath(sys.argv[2])
PAGES = sorted(glob.glob(os.path.join(ROOT, "docs/man/*.[1-9]")))


def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def page(name):
    return text_of("docs/man/" + name)


# ---- what a page says ----


def plain(text):
    """Without fonts and escapes."""
    text = re.sub(r"\\f[BIRP]|\\&", "", text)
    return text.replace(r"\-", "-").replace(r"\(dq", '"').replace(r"\~", " ").replace(r"\e", "\\")


def words_of(line):
    """The text of a line in a font: '.BR \\-d ", " \\-\\-data' -> '-d, --data'."""
    macro, _, rest = line.partition(" ")
    parts = [a.strip('"') for a in re.findall(r'"[^"]*"|\S+', rest)]
    return plain((" " if macro in (".B", ".I") else "").join(parts))


def section(text, name):
    m = re.search(rf'(?ms)^\.SH "?{re.escape(name)}"?\n(.*?)(?=^\.SH |\Z)', text)
    return m.group(1) if m else ""


def entries(text):
    """Tags of its .TP paragraphs."""
    tags = re.findall(r"(?m)^\.TP(?: \d+)?\n(.*)$", text)
    return [words_of(t) if t.startswith(".") else plain(t) for t in tags]


def differ(what, here, there, missing, extra):
    return ([f"{what} {x}: {missing}" for x in sorted(set(here) - set(there))] +
            [f"{what} {x}: {extra}" for x in sorted(set(there) - set(here))])


# ---- the checks: each gives what is wrong ----


def form():
    """Adjusted to the left: how a line of long names is spread is no fault of the page."""
    bad = []
    for path in PAGES:
        done = subprocess.run(["groff", "-man", "-dAD=l", "-Tutf8", "-ww", "-z", path], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        bad += done.stdout.decode().splitlines()
        if done.returncode:
            bad.append(f"{path}: groff ended with {done.returncode}")
    return bad


def found():
    bad = []
    for name in [os.path.basename(p) for p in PAGES]:
        if f"'{name}'" not in page("meson.build"):
            bad.append(f"{name} is not installed")
        if f"(docs/man/{name})" not in text_of("README.md"):
            bad.append(f"{name} is not linked from README.md")
        for other, number in re.findall(r"(?m)^\.BR (aioduct\S*|libaioduct) \((\d)\)", page(name)):
            if not os.path.exists(os.path.join(ROOT, "docs/man", plain(f"{other}.{number}"))):
                bad.append(f"{name}: no page {plain(other)}({number})")
    return bad


def options_said(*words):
    said = subprocess.run([AIODUCT, *words, "--help"], stdout=subprocess.PIPE, check=True).stdout.decode()
    known = []
    for letter, name, value in re.findall(r"(?m)^  (?:(-.), | {4})(--\S+)(?: (\S+))?(?: |$)", said.split("as in aioduct")[0]):
        known.append((letter + ", " if letter else "") + name + (" " + value if value else ""))
    return said, known


def bench():
    """Its own options; those that it shares are named."""
    said, known = options_said("bench")
    text = page("aioduct-bench.1")
    listed = entries(section(text, "OPTIONS"))
    bad = differ("option", known, listed, "not in aioduct-bench.1", "not in aioduct bench --help")
    part = plain(section(text, "OPTIONS"))
    for letter, name in re.findall(r"(?m)^  (?:(-.), | {4})(--\S+)", said.split("as in aioduct")[1]):
        if not any(re.search(rf"(?<![\w-]){re.escape(o)}(?![\w-])", part) for o in (letter, name) if o) and \
                not name.startswith("--data"):
            bad.append(f"option {name}: not in aioduct-bench.1")
    for kind in re.findall(r'"(\w+)"', re.search(r"bench_error_names\[\w+\] = \{(.*?)\};", text_of("tools/bench/load.c"),
                                                re.S).group(1)):
        if not re.search(rf"\b{kind}\b", section(text, "OUTPUT")):
            bad.append(f"errors of kind {kind}: not in aioduct-bench.1")
    return bad


def options():
    said, known = options_said()
    if len(known) < 40:
        return ["--help could not be read"]
    listed = entries(section(page("aioduct.1"), "OPTIONS"))
    bad = differ("option", known, listed, "not in aioduct.1", "not in --help")
    bad += [f"option {o}: twice in aioduct.1" for o in sorted({o for o in listed if listed.count(o) > 1})]
    for verb in re.findall(r"(?m)^ +aioduct plugins ([a-z]+)", said):
        if f".B aioduct plugins {verb}\n" not in page("aioduct-plugins.1"):
            bad.append(f"plugins {verb}: not in the synopsis of aioduct-plugins.1")
    return bad


def exit_codes():
    known = re.findall(r"(?m)^ +EXIT_[A-Z0-9]+ = (\d+)", text_of("tools/exitcode.h")) + ["0"]
    listed = entries(section(page("aioduct.1"), "EXIT STATUS"))
    return differ("exit code", known, listed, "not in aioduct.1", "not in tools/exitcode.h")


def variables():
    table = re.search(r"names\[\] = \{(.*?)\};", text_of("core/base/environment.c"), re.S).group(1)
    known = re.findall(r'"(\w+)"', table)
    listed = [n for tag in entries(section(page("aioduct.1"), "ENVIRONMENT")) for n in tag.split(", ")]
    bad = differ("variable", known, listed, "not in aioduct.1", "not read by the library")
    source = text_of("tools/writeout.c")
    table = re.search(r"variables\[\] = \{(.*?)\n\};", source, re.S).group(1)
    known = re.findall(r'VARIABLE\((\w+)\)|\{"(\w+)"', table) + re.findall(r'is\(name, bytes, (")?(\w+)"\)', source)
    known = [a if a and a != '"' else b for a, b in known]
    told = section(page("aioduct.1"), "WRITE-OUT") or section(page("aioduct.1"), r"WRITE\-OUT")
    made = re.search(r"(?ms)^conn_id.*?\.$", told).group().rstrip(".").replace("\n", " ").split(", ")
    listed = [w.strip() for w in made] + re.findall(r"%\{(\w+)\}", told)
    return bad + differ("-w variable", known, listed, "not in aioduct.1", "not in tools/writeout.c")


def keys():
    source = text_of("core/plugin/config.c")
    known = set(re.findall(r'strcmp\(key, "(\w+)"\)', source)) | {"runtime.NAME.OPTION", "connector.NAME.OPTION"}
    numbers = [("workers", re.search(r"WORKERS_MAX = (\d+)", source).group(1))]
    for path in glob.glob(os.path.join(ROOT, "plugins/*/*.c")):
        runtime = os.path.basename(os.path.dirname(path))
        with open(path, encoding="utf-8") as f:
            text = f.read()
        known |= {f"runtime.{runtime}.{o}" for o in re.findall(r'->option\(\w+->ctx, "(\w+)"\)', text)}
        for option, default, least, most in re.findall(r'bound \w+ = \{"(\w+)", (\w+), (\w+), ([^,]+),', text):
            known.add(f"runtime.{runtime}.{option}")
            shift = re.match(r"1u << (\d+)", most)
            most = str(1 << int(shift.group(1))) if shift else most
            numbers += [(f"runtime.{runtime}.{option}", n) for n in (default, least, most)]
    told = section(page("aioduct.conf.5"), "KEYS")
    bad = differ("key", known, entries(told), "not in aioduct.conf.5", "not known to the sources")
    for key, value in numbers:
        part = re.search(rf"(?ms)^\.TP\n\.BI? {re.escape(key)}\n(.*?)(?=^\.TP|^\.SS|^\.PP|\Z)", told)
        if part and not re.search(rf"\b{value}\b", part.group(1)):
            bad.append(f"key {key}: {value} is not told")
    limit = re.search(r"FILE_BYTES_MAX = (\d+)", source).group(1)
    return bad + ([] if limit in page("aioduct.conf.5") else [f"the file's limit of {limit} bytes is not told"])


def errors():
    document = set(re.findall(r"`(AIODUCT_E_\w+)`", text_of("docs/ERRORS.md")))
    known = set()
    for path in glob.glob(os.path.join(ROOT, "include/aioduct/**/*.h"), recursive=True):
        with open(path, encoding="utf-8") as f:
            known |= set(re.findall(r"\b(AIODUCT_E_\w+) = -\d+", f.read()))
    bad = differ("error", known, document, "not in docs/ERRORS.md", "in no header")
    for path in PAGES:
        with open(path, encoding="utf-8") as f:
            bad += [f"{path}: no error {e}" for e in sorted(set(re.findall(r"AIODUCT_E_\w+", f.read())) - document)]
    return bad


def rules():
    """Number, rule and consequence are those of docs/CONTRACT.md, and the cases named are that rule's."""
    known, told, bad = {}, {}, []
    for row in re.findall(r"(?m)^\| ([A-Z]{2}-\d+) \| (.*) \| (.*) \| (.*) \|$", text_of("docs/CONTRACT.md")):
        known[row[0]] = [re.sub(r"\*([a-z]+)\*", r"\1", cell.replace("`", "")).rstrip(".") for cell in row[1:]]
    parts = re.findall(r"(?ms)^\.TP 8\n\.B ([A-Z]{2}\\-\d+)\n(.*?)(?=^\.TP|^\.SH|\Z)", page("aioduct-plugin.7"))
    for number, text in parts:
        cells = re.split(r"\n\.br\n(?:Broken|Checked by): ", plain(text).strip())
        told[plain(number)] = [c.replace("\n", " ").rstrip(".") for c in cells]
    if len(known) < 80:
        bad.append("the clauses of docs/CONTRACT.md could not be read")
    for number in sorted(set(known) & set(told)):
        if told[number][:2] != known[number][:2]:
            bad.append(f"{number}: not as in docs/CONTRACT.md: {told[number][:2]}")
        for case in re.split(r", | and \d+ more|; debug host", told[number][2]):
            if case not in ("", "debug host") and case not in known[number][2]:
                bad.append(f"{number}: {case} does not check it")
    return bad + differ("rule", known, told, "not in aioduct-plugin.7", "not in docs/CONTRACT.md")


def names():
    """What a page names is in the headers, and each header has its line."""
    bad, declared = [], ""
    listed = re.findall(r"(?m)^\.I (aioduct/\S+\.h)$", section(page("libaioduct.3"), "HEADERS"))
    headers = glob.glob(os.path.join(ROOT, "include/aioduct/**/*.h"), recursive=True)
    for path in headers:
        with open(path, encoding="utf-8") as f:
            declared += f.read()
    bad = differ("header", [os.path.relpath(p, os.path.join(ROOT, "include")) for p in headers], listed,
                 "not in libaioduct.3", "does not exist")
    for path in PAGES:
        with open(path, encoding="utf-8") as f:
            text = plain(f.read())
        for word in sorted(set(re.findall(r"\b(?:aioduct_[a-z_]*[a-z0-9]|AIODUCT_[A-Z0-9_]*[A-Z0-9])\b", text))):
            if not re.search(rf"\b{word}\b", declared) and not re.search(rf'"{word}"', text_of("core/base/environment.c")):
                bad.append(f"{os.path.basename(path)}: nothing is called {word}")
    return bad


def functions():
    """All that the library exports, each in one entry."""
    declared = ""
    for path in glob.glob(os.path.join(ROOT, "include/aioduct/*.h")):
        with open(path, encoding="utf-8") as f:
            declared += re.sub(r"/\*.*?\*/", " ", f.read(), flags=re.S)
    known = re.findall(r"(?:AIODUCT_API|static inline)\b[\w\s*]*\b(aioduct_\w*[^\W_])\s*\(", declared)
    listed = [n for tag in entries(section(page("libaioduct.3"), "FUNCTIONS")) for n in tag.split(", ")]
    bad = differ("function", known, listed, "not in libaioduct.3", "in no header")
    return bad + [f"function {n}: twice in libaioduct.3" for n in sorted({n for n in listed if listed.count(n) > 1})]


def main():
    checks = [("the pages have no warnings", form),
              ("each page is installed, linked, and names pages that exist", found),
              ("aioduct.1 has the options of --help, and no other", options),
              ("aioduct-bench.1 has the options of aioduct bench --help, and no other", bench),
              ("aioduct.1 has the exit codes, and no other", exit_codes),
              ("aioduct.1 has the variables, of the environment and of -w, and no other", variables),
              ("aioduct.conf.5 has the keys, and no other, and their limits", keys),
              ("docs/ERRORS.md has the errors, and pages name no other", errors),
              ("aioduct-plugin.7 has the rules as docs/CONTRACT.md has them", rules),
              ("libaioduct.3 has the functions, and no other", functions),
              ("libaioduct.3 has the headers, and pages name what is in them", names)]
    failed = False
    print(f"1..{len(checks)}")
    for number, (name, check) in enumerate(checks, 1):
        if check is form and shutil.which("groff") is None:
            print(f"ok {number} - {name} # SKIP groff is not installed")
            continue
        bad = check()
        failed = failed or bool(bad)
        print(f"{'not ok' if bad else 'ok'} {number} - {name}")
        for line in bad[:40]:
            print(f"# {line}")
    return 1 if failed else 0


sys.exit(main())
