#!/bin/sh
# SPDX-License-Identifier: MIT
# Does a build without tests run, with every plugin that it has?
#   smoke.sh BUILD_DIRECTORY
set -eu
build=$(cd "$1" && pwd)
umask 022
chmod go-w "$build"/plugins/*
AIODUCT_PLUGIN_PATH="$build/plugins/libevent:$build/plugins/libev:$build/plugins/uring"
AIODUCT_CONFIG=''
export AIODUCT_PLUGIN_PATH AIODUCT_CONFIG
"$build/tools/aioduct" --version
listed=$("$build/tools/aioduct" plugins)
echo "$listed"
# A machine that builds packages may have no io_uring: sound, but it cannot run there.
for runtime in epoll libev libevent uring; do
  echo "$listed" | grep -Eq "^$runtime +(ok|skip) " || { echo "$runtime does not run" >&2; exit 1; }
done
