#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The library says in its ELF notes (UAPI.12) which runtimes it may dlopen: one note each.

TAP on standard output. Usage: dlopen_note.py LIBRARY
"""
import json
import re
import struct
import subprocess
import sys

WANTED = {"uring": "recommended", "libev": "suggested", "libevent": "suggested"}


def section(library):
    """Bytes of .note.dlopen, as readelf dumps them: address, words of hexadecimal, text."""
    done = subprocess.run(["readelf", "-W", "-x", ".note.dlopen", library], stdout=subprocess.PIPE, check=True)
    found = b""
    for line in done.stdout.decode("latin-1").splitlines():
        m = re.match(r"  0x[0-9a-f]+ ((?:[0-9a-f]{2,8} ){1,4})", line)
        if m:
            found += bytes.fromhex(m.group(1))
    return found


def notes(data):
    at = 0
    while at + 12 <= len(data):
        name_bytes, text_bytes, kind = struct.unpack_from("=III", data, at)
        name = data[at + 12:at + 12 + name_bytes]
        start = at + 12 + (name_bytes + 3) // 4 * 4
        yield name, kind, data[start:start + text_bytes]
        at = start + (text_bytes + 3) // 4 * 4


def main():
    found = list(notes(section(sys.argv[1])))
    form, features = [], {}
    for name, kind, text in found:
        if name != b"FDO\0" or kind != 0x407c0c0a or not text.endswith(b"\0"):
            form.append(f"owner {name!r}, type {kind:#x}, text {text!r}")
            continue
        for entry in json.loads(text[:-1]):
            features[entry["feature"]] = entry
            if set(entry) != {"feature", "description", "priority", "soname"}:
                form.append(f"{entry}: members")
            if entry["soname"] != [f"libaioduct-rt-{entry['feature']}.so"]:
                form.append(f"{entry}: soname")
    priorities = {name: entry["priority"] for name, entry in features.items()}
    segments = subprocess.run(["readelf", "-lW", sys.argv[1]], stdout=subprocess.PIPE, check=True).stdout.decode()
    loaded = re.search(r"(?m)^ +\d+ .*\.note\.dlopen", segments)
    checks = [
        ("every note is FDO's, of the type for dlopen, and holds JSON", form),
        ("one note a runtime, with its priority", [] if priorities == WANTED and len(found) == 3 else [str(priorities)]),
        ("they are in a segment, where strip leaves them", [] if loaded else ["not in a segment"]),
    ]
    print(f"1..{len(checks)}")
    for number, (name, bad) in enumerate(checks, 1):
        print(f"{'not ok' if bad else 'ok'} {number} - {name}")
        for line in bad:
            print(f"# {line}")
    return 1 if any(bad for _, bad in checks) else 0


sys.exit(main())
