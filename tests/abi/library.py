#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The ABI of libaioduct against the record of it: what a program was built with stays as it is. Functions,
constants, and members at the end of a struct that begins with its size may be added; all else fails.

TAP on standard output. Usage: library.py check|record LIBRARY SOURCE_ROOT COMPILER...

The record is made by `./dev abi`: libaioduct.abi by abidw, without what is private; .symbols; .constants.
Another compiler, or another version of abidw, reads the same out of a library of its own.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

HERE = pathlib.Path(__file__).resolve().parent
HOW = "If this is meant, and no release has it yet: ./dev abi records it."
PRIVATE = HERE / "private.suppr"


def run(*command):
    return subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def must(*command):
    made = run(*command)
    if made.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: {made.stdout}")
    return made.stdout


# ---- what there is today ----

def symbols(library):
    found = must("nm", "-D", "--defined-only", library).split("\n")
    return sorted(line.split()[2].split("@")[0] for line in found if line.strip())


def constants(root, compiler):
    """Every constant of the headers for programs, as the compiler counts them: name -> value"""
    names = []
    for header in sorted((root / "include/aioduct").glob("*.h")):
        text = re.sub(r"/\*.*?\*/", " ", header.read_text(), flags=re.S)
        for body in re.findall(r"^enum(?: \w+)? \{([^{}]*)\};", text, re.M):
            body = re.sub(r"^\s*#.*$", "", body, flags=re.M)
            names += [re.match(r"\s*(\w+)", part).group(1) for part in body.split(",") if part.strip()]
    with tempfile.TemporaryDirectory() as where:
        source = pathlib.Path(where) / "constants.c"
        rows = "".join(f'    printf("%s %lld\\n", "{name}", (long long){name});\n' for name in names)
        includes = "".join(f"#include <aioduct/{h.name}>\n" for h in sorted((root / "include/aioduct").glob("*.h")))
        source.write_text(f"#include <stdio.h>\n{includes}int main(void)\n{{\n{rows}    return 0;\n}}\n")
        must(*compiler, f"-I{root / 'include'}", str(source), "-o", f"{where}/constants")
        return dict(line.split() for line in must(f"{where}/constants").split("\n") if line)


def record_abi(library, out):
    must("abidw", "--suppressions", PRIVATE, "--no-corpus-path", "--no-show-locs", "--no-comp-dir-path",
         "--no-elf-needed", "--no-write-default-sizes", "--no-parameter-names", "--exported-interfaces-only",
         "--type-id-style", "hash", "--out-file", out, library)
    made = pathlib.Path(out)  # whatever the build directory is called
    made.write_text(re.sub(r"path='(\.\./)+", "path='", made.read_text()))


# ---- structs that only grew ----

def structs(path):
    """name -> size, begins with its size?, [(name, offset, type)] of each struct in @path"""
    root = xml.parse(path).getroot()
    by_id = {node.get("id"): node for node in root.iter() if node.get("id")}

    def words(type_id, depth=0):
        node = by_id.get(type_id)
        if node is None or depth > 6:
            return type_id
        inner = node.get("type-id")
        tail = words(inner, depth + 1) if inner else ""
        return f"{node.tag} {node.get('name') or ''} {node.get('dimensions') or node.get('length') or ''} {tail}"

    found = {}
    for node in root.iter("class-decl"):
        if node.get("size-in-bits") and node.get("name", "").startswith("aioduct_"):
            members = [(member.find("var-decl").get("name"), int(member.get("layout-offset-in-bits")),
                        words(member.find("var-decl").get("type-id"))) for member in node.findall("data-member")]
            found[node.get("name")] = (int(node.get("size-in-bits")), members)
    return found


def grown(old, new):
    """Names of structs that begin with their size and have new members behind the old ones alone."""
    for name, (size, members) in old.items():
        now_size, now = new.get(name, (size, members))
        if now != members and now[:len(members)] == members and members[0][:2] == ("size", 0):
            if now[len(members)][1] >= size - 64 and now[len(members)][1] > members[-1][1]:
                yield name


# ---- checks ----

def check_abi(library):
    if shutil.which("abidiff") is None:
        return "SKIP abidiff is not installed (abigail-tools)"
    with tempfile.TemporaryDirectory() as where:
        today, allowed = f"{where}/today.abi", pathlib.Path(where) / "allowed.suppr"
        record_abi(library, today)
        names = sorted(grown(structs(HERE / "libaioduct.abi"), structs(today)))
        allowed.write_text(PRIVATE.read_text() + "".join(f"\n[suppress_type]\n  name = {name}\n" for name in names))
        made = run("abidiff", "--suppressions", allowed, "--no-corpus-path", "--no-added-syms",
                   HERE / "libaioduct.abi", library)
    for name in names:
        print(f"# new members in struct {name}, not recorded yet (./dev abi)")
    if made.returncode == 0:
        return []
    return made.stdout.split("\n") + [f"abidiff ended with {made.returncode}. {HOW}"]


def check_list(what, old, new):
    for name in sorted(set(new) - set(old)):
        print(f"# new {what} {name}, not recorded yet (./dev abi)")
    return [f"{what} {name} is gone. {HOW}" for name in sorted(set(old) - set(new))] + [
        f"{what} {name} is {new[name]}, was {old[name]}. {HOW}"
        for name in sorted(set(old) & set(new)) if isinstance(old, dict) and old[name] != new[name]]


def main():
    mode, library, root, compiler = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]), sys.argv[4:]
    if mode == "record":
        record_abi(library, HERE / "libaioduct.abi")
        (HERE / "libaioduct.symbols").write_text("".join(f"{name}\n" for name in symbols(library)))
        (HERE / "libaioduct.constants").write_text(
            "".join(f"{name} {value}\n" for name, value in constants(root, compiler).items()))
        return 0
    print("TAP version 13")  # before what the checks have to say
    recorded = dict(line.split() for line in (HERE / "libaioduct.constants").read_text().split("\n") if line)
    checks = [
        ("every symbol of the record is exported",
         check_list("symbol", (HERE / "libaioduct.symbols").read_text().split(), symbols(library))),
        ("constants have the values that are recorded", check_list("constant", recorded, constants(root, compiler))),
        ("functions and structs are as recorded", check_abi(library)),
    ]
    print(f"1..{len(checks)}")
    failed = False
    for number, (name, problems) in enumerate(checks, 1):
        if isinstance(problems, str):
            print(f"ok {number} - {name} # {problems}")
            continue
        for problem in problems:
            print("#", problem)
        print("not ok" if problems else "ok", number, "-", name)
        failed = failed or bool(problems)
    return failed


if not os.path.exists(sys.argv[2]):
    sys.exit(f"{sys.argv[2]}: there is no such library")
sys.exit(main())
