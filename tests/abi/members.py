#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whatever include/aioduct/plugin/plugin.h says by name - structs, their members, constants, interface
ids - is recorded in a frozen copy, word for word: abi_check.c cannot see what nobody told it of, nor a
member that was put into a hole.

TAP on standard output. Usage: members.py SOURCE_ROOT
"""
import pathlib
import re
import sys

FROZEN = ["abi_1_0.h", "abi_1_1.h"]  # oldest first; a later one repeats the structs that grew
HOW = ("freeze it: while its minor is not released, write it into the newest tests/abi/abi_1_*.h (struct and "
       "lists); else raise AIODUCT_ABI_MINOR and add a header for it. See docs/HACKING.md")


def members_of(declaration):
    """One declaration or one for each member: that is only how it is written."""
    first, *others = [d.strip() for d in declaration.split(" , ")]
    if "(" in declaration or not others:
        return [declaration]
    kind, name = re.fullmatch(r"(.*?) ((?:\* )*\w+(?: \[ \w+ \])*)", first).groups()
    return [f"{kind} {d}" for d in [name, *others]]


def structs(text, prefix):
    """name -> declarations, layouts named alike on both sides"""
    found = {}
    for name, body in re.findall(r"^struct " + prefix + r"(\w+) \{\n(.*?)^\};", text, re.M | re.S):
        body = re.sub(r"\bstruct (?:aioduct|abi_1_\d+)_layout\b", "struct layout", body)
        words = " ".join(re.sub(r"([(),;*\[\]])", r" \1 ", body).split())
        found[name] = [m for w in words.split(";") if w.strip() for m in members_of(w.strip())]
    return found


def constants(text):
    names = [re.match(r"\s*(\w+)", part).group(1)
             for body in re.findall(r"^enum \{(.*?)\}", text, re.M | re.S)
             for part in body.split(",") if part.strip()]
    return set(names) | set(re.findall(r"^#define (AIODUCT_IFACE_\w+)", text, re.M))


def main():
    root = pathlib.Path(sys.argv[1])
    text = (root / "include/aioduct/plugin/plugin.h").read_text()
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S).replace("\\\n", " ")
    today = structs(text, "aioduct_")
    frozen, recorded = {}, set()
    for name in FROZEN:
        old = re.sub(r"/\*.*?\*/", " ", (root / "tests/abi" / name).read_text(), flags=re.S)
        frozen.update(structs(old, r"abi_1_\d+_"))
        recorded |= set(re.findall(r"\b[NS]\((AIODUCT_\w+),", old))
    wrong = []
    for name, members in today.items():
        if name not in frozen:
            wrong.append(f"struct aioduct_{name} is not recorded: {HOW}")
            continue
        for old, new in zip(frozen[name], members):
            if old != new:
                wrong.append(f"struct aioduct_{name}: '{new}', recorded is '{old}'")
                break
        else:
            for new in members[len(frozen[name]):]:
                wrong.append(f"struct aioduct_{name}: '{new}' is not recorded: {HOW}")
            for old in frozen[name][len(members):]:
                wrong.append(f"struct aioduct_{name}: '{old}' is gone")
    wrong += [f"struct aioduct_{name} is gone" for name in frozen if name not in today]
    missing = sorted(constants(text) - recorded)
    checks = [
        ("the header was understood", [] if len(today) > 10 and len(constants(text)) > 20 else ["too little was found"]),
        ("each struct and member is recorded", wrong),
        ("each constant and interface id is recorded", [f"{name} is not recorded: {HOW}" for name in missing]),
    ]
    print(f"TAP version 13\n1..{len(checks)}")
    for number, (name, problems) in enumerate(checks, 1):
        for problem in problems:
            print("#", problem)
        print("not ok" if problems else "ok", number, "-", name)
    return any(problems for _, problems in checks)


sys.exit(main())
