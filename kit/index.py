#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""docs/CONTRACT.md and the kit say the same: each case and the rules that it checks are on the page and in the
code alike, every rule that the code cites is on the page, and kit/rule_table.c is what the page makes it.

TAP on standard output. Usage: index.py [--write]; with --write kit/rule_table.c is made anew.
"""
import pathlib
import re
import sys

here = pathlib.Path(__file__).resolve().parent
page = (here.parent / "docs" / "CONTRACT.md").read_text()
code = {path.name: path.read_text() for path in sorted(here.glob("*.[ch]")) if path.name != "rule_table.c"}

GROUPS = ("PL", "RT", "CX", "ST")  # LY and FO are checked by tests/http and tests/unit
rows = re.findall(r"(?m)^\| ([A-Z]{2}-\d+) \| (.*) \| (.*) \| (.*) \|$", page)
NOT_CASES = {"after_fork_child"}


def rule_table():
    def literal(text):
        text = re.sub(r"\*([a-z]+)\*", r"\1", text.replace("`", "")).replace("\\", "\\\\").replace('"', '\\"')
        lines, line = [], ""
        for word in re.findall(r"\S+\s*", text):
            if len(line) + len(word) > 84:
                lines.append(line)
                line = ""
            line += word
        return "\n".join(f'     "{part}"' for part in lines + [line])

    entries = "".join(f'    {{"{number}",\n{literal(rule)},\n{literal(broken)}}},\n'
                      for number, rule, broken, _ in rows if number[:2] in GROUPS)
    return ("/* SPDX-License-Identifier: MIT */\n/* Made from docs/CONTRACT.md by kit/index.py --write. */\n"
            '#include "rules.h"\n\n/* clang-format off */\nconst struct ct_rule ct_rules[] = {\n' + entries +
            "};\n/* clang-format on */\nconst size_t ct_rule_count = sizeof ct_rules / sizeof ct_rules[0];\n")


def cases():
    """name -> (file, rules)"""
    found = {}
    for name, text in code.items():
        if not name.startswith("t_"):
            continue
        for case, rules in re.findall(r"CT_(?:FILE_|PLUGIN_|BARE_)?CASE\(\s*(\w{3,}),([^)]*)\)", text):
            found[case] = (name, re.findall(r'"([^"]+)"', rules))
    return found


def index():
    wrong = []
    numbers = [row[0] for row in rows]
    named = {}
    for number, _, _, checked in rows:
        for case in re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+){2,})`", checked):
            if number[:2] in GROUPS:
                named.setdefault(case, []).append(number)
    known = cases()
    wrong += [f"CONTRACT.md has {n} twice" for n in sorted({n for n in numbers if numbers.count(n) > 1})]
    wrong += [f"CONTRACT.md names {c}, which no file has" for c in sorted(set(named) - set(known) - NOT_CASES)]
    for case, (name, rules) in sorted(known.items()):
        for number in sorted(set(rules) ^ set(named.get(case, []))):
            where = f"{name} says" if number in rules else "CONTRACT.md says"
            wrong.append(f"{where} that {case} checks {number}, and the other does not")
    for name, text in code.items():
        for number in sorted(set(re.findall(r"\b((?:PL|RT|CX|ST)-\d+)\b", text)) - set(numbers)):
            wrong.append(f"{name} cites {number}, which CONTRACT.md does not have")
    return wrong


def unchecked():
    """Each rule can be chosen: at least one case says that it checks it."""
    checked = {number for _, rules in cases().values() for number in rules}
    return [f"no case checks {row[0]}" for row in rows if row[0][:2] in GROUPS and row[0] not in checked]


def main():
    table = here / "rule_table.c"
    if sys.argv[1:] == ["--write"]:
        table.write_text(rule_table())
        return 0
    same = table.exists() and table.read_text() == rule_table()
    checks = [("the contract and its cases name each other", index()),
              ("each rule has a case", unchecked()),
              ("the kit's rules are those of the page", [] if same else ["kit/rule_table.c differs: ./dev docs makes it"])]
    print(f"TAP version 13\n1..{len(checks)}")
    for number, (name, wrong) in enumerate(checks, 1):
        print("not ok" if wrong else "ok", number, "-", name)
        for line in wrong:
            print("#", line)
    return 1 if any(wrong for _, wrong in checks) else 0


sys.exit(main())
