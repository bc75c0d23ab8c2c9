#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The files below debian/ fit what is built: without building a package.

TAP on standard output. Usage: packages.py SOURCE_ROOT BUILD_ROOT RUNTIME...
       packages.py --symbols SOURCE_ROOT    prints debian/libaioduct0.symbols as it should be
"""
import fnmatch
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

RUNTIMES = ("libev", "libevent", "uring")


def text_of(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


# ---- control ----


def paragraphs(root):
    found = []
    for part in re.split(r"\n\s*\n", text_of(root, "debian/control").strip()):
        fields, last = {}, None
        for line in part.split("\n"):
            m = re.match(r"([A-Z][A-Za-z-]*): ?(.*)$", line)
            if m:
                last = m.group(1)
                fields[last] = m.group(2)
            elif line.startswith(" ") and last:
                fields[last] += "\n" + line.strip()
            else:
                raise ValueError(f"debian/control: {line!r}")
        found.append(fields)
    return found


def names(field):
    """Packages of a relation: alternatives too, versions left out."""
    return [re.match(r"[\w.${}:+-]+", alternative.strip()).group()
            for part in field.replace("\n", " ").split(",") if part.strip() for alternative in part.split("|")]


def control(root):
    bad = []
    source, *packages = paragraphs(root)
    for field in ("Source", "Maintainer", "Build-Depends", "Standards-Version"):
        if not source.get(field):
            bad.append(f"the source has no {field}")
    for package in packages:
        for field in ("Package", "Architecture", "Multi-Arch", "Depends", "Description"):
            if not package.get(field):
                bad.append(f"{package.get('Package')} has no {field}")
    known = {p["Package"] for p in packages}
    for path in sorted(glob.glob(os.path.join(root, "debian/*.*"))):
        package = os.path.basename(path).rsplit(".", 1)[0]
        if package not in known:
            bad.append(f"{os.path.basename(path)}: there is no package {package}")
    for runtime in RUNTIMES:
        if f"libaioduct-runtime-{runtime}" not in names(packages[0]["Recommends"]):
            bad.append(f"{packages[0]['Package']} does not recommend the runtime {runtime}")
    version = re.search(r"version: '([\d.]+)'", text_of(root, "meson.build")).group(1)
    if not text_of(root, "debian/changelog").startswith(f"{source['Source']} ({version}) "):
        bad.append(f"debian/changelog does not begin with version {version}")
    return bad


def build_dependencies(root):
    """Libraries that ./dev installs to build the product, and no others."""
    product = re.search(r"product_packages=\((.*?)\)", text_of(root, "dev"), re.S).group(1)
    wanted = {n for word in product.replace("'", "").split() for n in word.split("|")
              if n.endswith("-dev") and n != "libc6-dev" or n == "node-llhttp"}
    given = {n for n in names(paragraphs(root)[0]["Build-Depends"]) if n.endswith("-dev") or n == "node-llhttp"}
    return sorted(f"{n}: only in {'dev' if n in wanted else 'debian/control'}" for n in wanted ^ given)


# ---- files ----


def installed(build_root):
    """Every file that is installed, as if below /usr and in a directory of the architecture."""
    with open(os.path.join(build_root, "meson-info/intro-buildoptions.json"), encoding="utf-8") as f:
        options = {o["name"]: o["value"] for o in json.load(f)}
    prefix = options["prefix"].strip("/")
    libdir = os.path.join(prefix, options["libdir"])
    with tempfile.TemporaryDirectory(prefix="aioduct-packages-") as to:
        subprocess.run(["meson", "install", "-C", build_root, "--no-rebuild", "--quiet", "--destdir", to],
                       stdout=subprocess.DEVNULL, check=True)
        for folder, folders, files in os.walk(to):
            for name in files + [d for d in folders if os.path.islink(os.path.join(folder, d))]:
                path = os.path.relpath(os.path.join(folder, name), to)
                if path.startswith(libdir + "/"):
                    yield "usr/lib/TRIPLET" + path[len(libdir):]
                else:
                    yield "usr" + path[len(prefix):] if path.startswith(prefix + "/") else path


def patterns(root):
    for path in sorted(glob.glob(os.path.join(root, "debian/*.install"))):
        package = os.path.basename(path)[:-len(".install")]
        for line in text_of(path).split("\n"):
            if line.strip() and not line.startswith("#"):
                yield package, line.split()[0]


def matches(path, pattern):
    """As a shell's: a star does not cross a slash; a directory takes all below it."""
    parts, wanted = path.split("/"), pattern.split("/")
    return len(parts) >= len(wanted) and all(fnmatch.fnmatchcase(p, w) for p, w in zip(parts, wanted)) and (
        len(parts) == len(wanted) or "*" not in wanted[-1])


def files(root, build_root, runtimes):
    bad, used = [], set()
    for path in sorted(installed(build_root)):
        takers = [(package, pattern) for package, pattern in patterns(root) if matches(path, pattern)]
        used.update(takers)
        if len({package for package, _ in takers}) != 1:
            bad.append(f"{path}: in {', '.join(p for p, _ in takers) or 'no package'}")
    for package, pattern in patterns(root):
        absent = [r for r in RUNTIMES if package == f"libaioduct-runtime-{r}" and r not in runtimes]
        if (package, pattern) not in used and not absent:
            bad.append(f"debian/{package}.install: {pattern} finds nothing")
    for path in sorted(glob.glob(os.path.join(root, "debian/*.docs")) + glob.glob(os.path.join(root, "debian/*.examples"))):
        for line in text_of(path).split():
            if not glob.glob(os.path.join(root, line)):
                bad.append(f"debian/{os.path.basename(path)}: {line} is not there")
    return bad


# ---- symbols ----


def symbols(root):
    """What the headers declare, each since the version that the file has for it, or since this one."""
    declared = ""
    for path in glob.glob(os.path.join(root, "include/aioduct/*.h")):
        declared += text_of(path)
    declared = re.sub(r"/\*.*?\*/", " ", declared, flags=re.S)
    functions = set()
    for text in re.findall(r"AIODUCT_API\b([^;]*);", declared):
        m = re.search(r"\b(aioduct_\w+)\s*\(", text)
        functions.update([m.group(1)] if m else [])
    version = re.search(r"version: '([\d.]+)'", text_of(root, "meson.build")).group(1)
    path = os.path.join(root, "debian/libaioduct0.symbols")
    since = dict(re.findall(r"(?m)^ (\w+)@Base (\S+)$", text_of(path))) if os.path.exists(path) else {}
    lines = ["libaioduct.so.0 libaioduct0 #MINVER#", "* Build-Depends-Package: libaioduct-dev"]
    return "\n".join(lines + [f" {f}@Base {since.get(f, version)}" for f in sorted(functions)]) + "\n"


def symbols_file(root):
    there, wanted = text_of(root, "debian/libaioduct0.symbols"), symbols(root)
    if there == wanted:
        return []
    return ["./dev docs makes it anew"] + [f"{line}" for line in sorted(set(there.split("\n")) ^ set(wanted.split("\n")))]


def main():
    if sys.argv[1] == "--symbols":
        sys.stdout.write(symbols(sys.argv[2]))
        return 0
    root, build_root, runtimes = sys.argv[1], sys.argv[2], sys.argv[3:]
    checks = [
        ("the control files have their form", control(root)),
        ("packages are built with the libraries that ./dev builds with", build_dependencies(root)),
        ("every installed file is in exactly one package", files(root, build_root, runtimes)),
        ("debian/libaioduct0.symbols has the functions of the headers", symbols_file(root)),
    ]
    print(f"1..{len(checks)}")
    for number, (name, bad) in enumerate(checks, 1):
        print(f"{'not ok' if bad else 'ok'} {number} - {name}")
        for line in bad[:40]:
            print(f"# {line}")
    return 1 if any(bad for _, bad in checks) else 0


sys.exit(main())
