#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compare every #include with the table of rooms in docs/ARCHITECTURE.md, and look for functions that no room may call.

TAP on standard output. Usage: rooms.py SOURCE_ROOT
"""
import os
import re
import sys

BANNED = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|gets|gmtime|localtime)\s*\(")
GETENV = re.compile(r"\b(secure_)?getenv\s*\(")
CLOCK = re.compile(r"\b(clock_gettime|gettimeofday|time|pthread_create|ad_thread_start|getaddrinfo|getrandom|rand|random)\s*\(")
CLOCK_ROOMS = ("core/runtime/", "core/net/resolve")  # worker threads: see ALLOWED
ALLOWED = {"core/http/worker.c": {"ad_thread_start"},
           "core/base/thread.c": {"ad_thread_start", "pthread_create"},
           "core/base/thread.h": {"ad_thread_start"},
           "core/base/log_file.c": {"clock_gettime"}}  # lines of a log carry the time of day
# The executor is the one place that knows which spawn a runtime has, and nobody above core/runtime asks
# which kind of runtime it is: but for the client, whose binding follows from it.
LINES_MAX = 700  # above that a file has two reasons to change
FORK = re.compile(r"(?<!tap_)\bfork\(\)")  # in a case it would carry crashes back into the runner
FORK_FILES = ("tests/support/tap.c", "tests/support/nginx.c", "tests/support/process.c")
SPAWN = re.compile(r"\b(spawn_send|spawn_local)\b")
SPAWN_FILES = ("core/runtime/task.c", "core/runtime/calls.c", "core/plugin/tables.c")
KIND = re.compile(r"\bAD_CAP_(POLL|LOCAL)\b|\b(poll|local)\s*\.\s*(sleep|sleep_cancel)\b")
KIND_ROOMS = ("core/runtime/", "core/plugin/", "core/http/client.c")
PRINTING = re.compile(r"\b(printf|puts|putchar|perror|fputs)\s*\(")


def rooms(root):
    table = {}
    with open(os.path.join(root, "docs/ARCHITECTURE.md"), encoding="utf-8") as f:
        for line in f:
            cells = [c.strip() for c in line.strip().strip("|").split("|")]
            if len(cells) == 3 and cells[0].startswith("`"):
                name = cells[0].strip("`")
                may = [] if cells[2] == "-" else [c.strip() for c in cells[2].split(",")]
                table[name] = may
    return table


def sources(root, top):
    for folder, _, files in os.walk(os.path.join(root, top)):
        for name in sorted(files):
            if name.endswith((".c", ".h")):
                yield os.path.relpath(os.path.join(folder, name), root)


def text_of(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as f:
        text = f.read()
    return re.sub(r"/\*.*?\*/", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)


def without_strings(text):
    return re.sub(r'"(\\.|[^"\\\n])*"', '""', text)


def check_includes(root, table):
    bad = []
    for top in ("core", "plugins"):
        names = [r.split("/")[1] for r in table if r.startswith(top + "/")]
        for path in sources(root, top):
            room = "/".join(path.split("/")[:2])
            own = path.split("/")[1]
            if room not in table:
                bad.append(f"{path}: the room {room} is not in the table of docs/ARCHITECTURE.md")
                continue
            for number, line in enumerate(text_of(root, path).split("\n"), 1):
                m = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
                if not m:
                    continue
                target = m.group(1)
                first = target.split("/")[0]
                where = f"{path}:{number}"
                if "../" in target or target.startswith(("core/", "plugins/")):
                    bad.append(f"{where}: {target} leaves its room by path")
                elif top == "plugins" and target.startswith("aioduct/") and not target.startswith("aioduct/plugin/"):
                    bad.append(f"{where}: plugins include <aioduct/plugin/...> only, not {target}")
                elif "/" in target and first in names and first != own and first not in table[room]:
                    bad.append(f"{where}: {room} may not include {target}")
    return bad


def check_kit(root):
    """The kit is the other side of the wall: it sees what a plugin sees."""
    bad = []
    for path in sources(root, "kit"):
        for number, line in enumerate(text_of(root, path).split("\n"), 1):
            m = re.match(r'\s*#\s*include\s*[<"]([^>"]+)[>"]', line)
            if m and ("../" in m.group(1) or re.match(r"aioduct/(?!plugin/)", m.group(1)) or
                      ('"' in line and "/" in m.group(1))):
                bad.append(f"{path}:{number}: the kit may not include {m.group(1)}")
    return bad


def check_calls(root):
    bad = []
    for top in ("core", "plugins"):
        for path in sources(root, top):
            for number, line in enumerate(without_strings(text_of(root, path)).split("\n"), 1):
                where = f"{path}:{number}"
                m = BANNED.search(line)
                if m:
                    bad.append(f"{where}: {m.group(1)} is banned")
                if PRINTING.search(line):
                    bad.append(f"{where}: the library never prints")
                if GETENV.search(line) and not path.startswith(("core/plugin/environment", "core/base/environment")):
                    bad.append(f"{where}: the environment is read in one place only")
                m = CLOCK.search(line) if top == "core" else None
                if m and not path.startswith(CLOCK_ROOMS) and m.group(1) not in ALLOWED.get(path, ()):
                    bad.append(f"{where}: {m.group(1)} outside core/runtime and the resolver")
    return bad


def check_executor(root):
    bad = []
    for path in sources(root, "core"):
        for number, line in enumerate(without_strings(text_of(root, path)).split("\n"), 1):
            m = SPAWN.search(line)
            if m and path not in SPAWN_FILES:
                bad.append(f"{path}:{number}: {m.group()} outside the executor")
            m = KIND.search(line)
            if m and not path.startswith(KIND_ROOMS):
                bad.append(f"{path}:{number}: {m.group()} above core/runtime")
    return bad


def check_files(root):
    bad = []
    for top in ("core", "plugins", "include", "kit", "tools", "tests", "examples", "bench"):
        for path in sources(root, top):
            with open(os.path.join(root, path), encoding="utf-8") as f:
                lines = f.read().split("\n")
            if "SPDX-License-Identifier: MIT" not in lines[0]:
                bad.append(f"{path}:1: no licence line")
            if len(lines) - 1 > LINES_MAX:
                bad.append(f"{path}: {len(lines) - 1} lines, over {LINES_MAX}")
            for number, line in enumerate(lines, 1):
                if top == "tests" and FORK.search(line) and path not in FORK_FILES:
                    bad.append(f"{path}:{number}: a test forks by tap_fork()")
                if len(line) > 100:
                    bad.append(f"{path}:{number}: longer than 100 columns")
                if line.rstrip() != line or "\t" in line:
                    bad.append(f"{path}:{number}: tab or trailing space")
                if re.search(r"\b(TODO|FIXME|XXX)\b", line):
                    bad.append(f"{path}:{number}: unfinished work")
    return bad


def main():
    root = sys.argv[1]
    table = rooms(root)
    checks = [
        ("the table of rooms is readable", [] if len(table) > 10 else ["table not found"]),
        ("no room includes what the table does not allow", check_includes(root, table) + check_kit(root)),
        ("no room calls what it may not", check_calls(root)),
        ("only the executor knows which spawn a runtime has", check_executor(root)),
        ("every file keeps the form", check_files(root)),
    ]
    print(f"1..{len(checks)}")
    for number, (name, bad) in enumerate(checks, 1):
        print(f"{'not ok' if bad else 'ok'} {number} - {name}")
        for line in bad[:40]:
            print(f"# {line}")
    return 1 if any(bad for _, bad in checks) else 0


sys.exit(main())
