#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The public headers say everything: Doxygen has no warning, and no enumerator is without a comment.

TAP on standard output. Usage: reference.py SOURCE_ROOT
"""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile


def warnings(root):
    """Doxygen reads its configuration from standard input, so that the output goes elsewhere."""
    with open(os.path.join(root, "docs/reference/Doxyfile"), encoding="utf-8") as f:
        configuration = f.read()
    with tempfile.TemporaryDirectory(prefix="aioduct-reference-") as to:
        done = subprocess.run(["doxygen", "-"], cwd=root, input=f"{configuration}\nOUTPUT_DIRECTORY={to}\n".encode(),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        said = done.stdout.decode().replace(root + "/", "").splitlines()
        if done.returncode and not said:
            said = [f"doxygen ended with {done.returncode}"]
        if not os.path.exists(os.path.join(to, "index.html")):
            said.append("nothing was made")
        return said


def enumerators(root):
    """Doxygen is silent on those of an enum that has no comment itself."""
    bad = []
    for path in sorted(glob.glob(os.path.join(root, "include/aioduct/**/*.h"), recursive=True)):
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for before, body in re.findall(r"(\*/)?\n(?:enum(?: \w+)? \{)(.*?)\n?\};", text, re.S):
            if not before:
                bad.append(f"{os.path.relpath(path, root)}: an enum without a comment: {body.strip()[:60]}")
            tokens = re.findall(r"/\*.*?\*/|\bAIODUCT_\w+(?= =|,|\s*$|\s*/\*)", body, re.S)
            for at, name in enumerate(tokens):
                around = [tokens[at - 1] if at else "", tokens[at + 1] if at + 1 < len(tokens) else ""]
                if not name.startswith("/*") and not (re.match(r"/\*\*(?!<)", around[0]) or around[1].startswith("/**<")):
                    bad.append(f"{os.path.relpath(path, root)}: {name} without a comment")
    return bad


def threads(root):
    """Every exported function says which thread may call it."""
    bad = []
    for path in sorted(glob.glob(os.path.join(root, "include/aioduct/*.h"))):
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for comment, name in re.findall(r"(/\*\*(?:(?!\*/).)*\*/)\s*\nAIODUCT_API\b[^;]*?\b(aioduct_\w+)\s*\(", text, re.S):
            if not re.search(r"[Tt]hread", comment):
                bad.append(f"{os.path.relpath(path, root)}: {name} does not say on which thread")
    return bad


def main():
    root = os.path.abspath(sys.argv[1])
    checks = [("every enumerator has a comment", enumerators), ("every function says its thread", threads)]
    if shutil.which("doxygen"):
        checks.append(("Doxygen makes the reference of the headers without a warning", warnings))
    print(f"1..{max(len(checks), 3)}")
    failed = False
    for number, (name, check) in enumerate(checks, 1):
        bad = check(root)
        failed = failed or bool(bad)
        print(f"{'not ok' if bad else 'ok'} {number} - {name}")
        for line in bad[:40]:
            print(f"# {line}")
    if len(checks) == 2:
        print("ok 3 - Doxygen makes the reference of the headers # SKIP doxygen is not installed")
    return 1 if failed else 0


sys.exit(main())
