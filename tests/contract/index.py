#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/CONTRACT.md and the cases name each other: every case that the page names exists, every case
is named, and every clause that the code cites is on the page."""
import pathlib
import re
import sys

here = pathlib.Path(__file__).resolve().parent
page = (here.parent.parent / "docs" / "CONTRACT.md").read_text()
code = {path.name: path.read_text() for path in sorted(here.glob("*.[ch]"))}

clauses = re.findall(r"^\| ([A-Z]{2}-\d+) \|", page, re.M)
named = set(re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+){2,})`", page))
cases = {}
for name, text in code.items():
    # What only another case runs is not in the list of the file's own.
    own = text.split("static const struct CMUnitTest traced")[0]
    for case in re.findall(r"CT_(?:BARE_)?CASE\((\w{3,})\)", own):
        if name.startswith("t_"):
            cases[case] = name

wrong = []
for clause in sorted({c for c in clauses if clauses.count(c) > 1}):
    wrong.append(f"CONTRACT.md has {clause} twice")
for case in sorted(named - set(cases) - {"after_fork_child"}):
    wrong.append(f"CONTRACT.md names {case}, which no file has")
for case, name in sorted(cases.items()):
    if case not in named:
        wrong.append(f"{name}: {case} belongs to no clause of CONTRACT.md")
for name, text in code.items():
    for clause in sorted(set(re.findall(r"\b((?:PL|RT|CX|ST)-\d+)\b", text)) - set(clauses)):
        wrong.append(f"{name} cites {clause}, which CONTRACT.md does not have")

print("TAP version 13\n1..1")
for line in wrong:
    print("#", line)
print("not ok" if wrong else "ok", "1 - the contract and its cases name each other")
sys.exit(bool(wrong))
