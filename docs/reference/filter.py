#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Headers as Doxygen wants them: lines stay where they are.

The first comment, "aioduct/x.h - what it is", is the file's. In doc comments @name is a parameter or member, and "Thread:", "Owns:" ... begin a line of their own.
"""
import re
import sys

WORDS = r"Thread|Owns|Calls|Returns|When|Since"


def comment(match):
    text = match.group()
    text = re.sub(r"(?s)\A/\*\*(\s+(?:\* )?)(?:aioduct/)?[\w/]+\.h - ", r"/** \\file\1", text)
    text = re.sub(r"<(?=[\w/]+[.>])", r"\\<", text)
    text = re.sub(r"@(\w+)", r"\\p \1", text)
    return re.sub(rf"(?m)^( +\* +)({WORDS}):", r"\1<br><b>\2:</b>", text)


with open(sys.argv[1], encoding="utf-8") as f:
    sys.stdout.write(re.sub(r'/\*\*.*?\*/|"(?:\\.|[^"\\\n])*"',
                            lambda m: comment(m) if m.group().startswith("/*") else m.group(), f.read(), flags=re.S))
