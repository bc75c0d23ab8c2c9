#!/bin/sh
# SPDX-License-Identifier: MIT
# Build the museum's plugins of one version, out of its sources as they were committed; once a release, x86_64 alone.
#   build.sh VERSION COMMIT          into tests/museum/VERSION, with a README of what they are
#   build.sh --check VERSION         build again, and compare; with the compiler that the README names
set -eu
cd "$(dirname "$0")"
check=
if [ "$1" = --check ]; then
  check=$2
  set -- "$2" "$(sed -n 's/^Commit: //p' "$2/README.md")"
fi
version=$1
commit=$(git rev-parse "$2^{commit}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git -C ../.. archive "$commit" include plugins examples | tar -x -C "$work"
mkdir "$work/out"

# Nothing of this machine gets into the files: no debug information, no paths, no build id.
make_plugin() { # make_plugin FILE SOURCE...
  file=$1
  shift
  (cd "$work" && gcc -std=c11 -D_GNU_SOURCE -O2 -g0 -fPIC -shared -fvisibility=hidden -ffunction-sections \
    -ffile-prefix-map="$work"=. -Iinclude -Iplugins "$@" \
    -Wl,-z,defs,-z,relro,-z,now,-z,noexecstack,--gc-sections,--build-id=none,--exclude-libs,ALL \
    -Wl,-soname,"$file" -o "out/$file" && strip --strip-all "out/$file")
}

# shellcheck disable=SC2046 # names of sources have no blanks
make_plugin libaioduct-rt-pollrt.so examples/runtime-template/pollrt.c \
  $(cd "$work" && ls plugins/readiness/*.c plugins/tasks/*.c plugins/socket/*.c)
make_plugin libaioduct-cx-count.so examples/connector-count/count.c
make_plugin libaioduct-cx-unix.so examples/connector-unix/unix.c

if [ -n "$check" ]; then
  for file in "$work"/out/*.so; do
    cmp "$file" "$version/$(basename "$file")" && echo "$(basename "$file"): the same"
  done
  exit
fi
mkdir -p "$version"
install -m 644 "$work"/out/*.so "$version"
{
  echo "# Plugins of aioduct $version"
  echo
  echo "Built by tests/museum/build.sh, x86_64, and never again: what they are is what others have built."
  echo
  echo "Commit: $commit"
  echo
  echo "Compiler: $(gcc --version | head -n 1), $(ld --version | head -n 1)"
  echo
  echo "| file | of | bytes |"
  echo "|---|---|---|"
  echo "| libaioduct-rt-pollrt.so | examples/runtime-template, plugins/readiness | $(stat -c %s "$version/libaioduct-rt-pollrt.so") |"
  echo "| libaioduct-cx-count.so | examples/connector-count | $(stat -c %s "$version/libaioduct-cx-count.so") |"
  echo "| libaioduct-cx-unix.so | examples/connector-unix | $(stat -c %s "$version/libaioduct-cx-unix.so") |"
} >"$version/README.md"
