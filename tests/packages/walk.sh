#!/bin/sh
# SPDX-License-Identifier: MIT
# Walk through the guide with what is installed, and nothing else: type its file from its pieces, build it by its
# one line, have it checked, fetch a page on it.
#   walk.sh GUIDE          beside it: blocks.sh and serve.c
set -eux
guide=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
walk=$(mktemp -d)
trap 'rm -rf "$walk"' EXIT
umask 022
chmod 755 "$walk"
unset AIODUCT_PLUGIN_PATH AIODUCT_RUNTIME
cc "$here/serve.c" -pthread -o "$walk/serve"
mkdir "$walk/reader"
cd "$walk/reader"

"$here/blocks.sh" "$guide" 'c pollrt.c' >pollrt.c
for step in build check run; do
  "$here/blocks.sh" "$guide" "sh $step" >"../$step"
  test -s "../$step"
done
sh -eux ../build
test "$(find . -name '*.so')" = ./libaioduct-rt-pollrt.so
sh -eux ../check
# The page of the guide is far away: one that is near.
grep -q ' https://example.org/$' ../run
# shellcheck disable=SC2016 # it is expanded where it runs
sed 's| https://example.org/$| "$URL"|' ../run >../run-here
../serve sh -eux ../run-here >../page
cat ../page
test "$(cat ../page)" = 'hello from the walk'
# And that it was this runtime that fetched it.
AIODUCT_PLUGIN_PATH=$PWD aioduct plugins which pollrt | grep '^selected  pollrt$'
