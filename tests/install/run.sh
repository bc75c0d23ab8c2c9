#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Install into a prefix, then use what is there as a stranger would: a program built with pkg-config
# and a plugin built from what is installed.
#   run.sh BUILD_DIRECTORY PREFIX JUNIT_FILE
set -u
build=$(realpath "$1") prefix=$(realpath -m "$2") junit=$(realpath -m "$3") # checks change the directory
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
cases='' failed=0 total=0

check() { # check NAME COMMAND... - one case
  local name=$1
  shift
  total=$((total + 1))
  if "$@" >"$work/log" 2>&1; then
    printf 'ok %s\n' "$name"
    cases+="<testcase classname=\"install\" name=\"$name\"/>"
  else
    printf 'not ok %s\n' "$name"
    sed 's/^/  /' "$work/log"
    cases+="<testcase classname=\"install\" name=\"$name\"><failure message=\"see the log\"/></testcase>"
    failed=$((failed + 1))
  fi
}

rm -rf "$prefix"
pkg_dir() { dirname "$(find "$prefix" -name aioduct.pc | head -n 1)"; }
lib_dir() { dirname "$(find "$prefix" -name 'libaioduct.so' | head -n 1)"; }

install_it() { ninja -C "$build" && meson install -C "$build" --no-rebuild; }
check 'meson install succeeds' install_it
PKG_CONFIG_PATH=$(pkg_dir)
LD_LIBRARY_PATH=$(lib_dir)
export PKG_CONFIG_PATH LD_LIBRARY_PATH
unset AIODUCT_PLUGIN_PATH AIODUCT_RUNTIME
export AIODUCT_CONFIG=/dev/null

man_pages() {
  for page in man1/aioduct.1 man1/aioduct-bench.1 man1/aioduct-plugins.1 man3/libaioduct.3 man5/aioduct.conf.5 man7/aioduct-plugin.7; do
    [ -n "$(find "$prefix" -path "*/man/$page*")" ] || { echo "no $page"; return 1; }
  done
}
check 'the man pages are installed' man_pages

compile_program() {
  # shellcheck disable=SC2046
  cc -std=c11 -Wall -Wextra -Werror "$here/data/program.c" -o "$work/program" \
    $(pkg-config --cflags --libs aioduct)
}
check 'a program builds with pkg-config' compile_program
check 'the program runs on epoll' env AIODUCT_RUNTIME=epoll "$work/program" epoll
for runtime in libev libevent; do
  check "the installed $runtime plugin is found beside the library" \
    env AIODUCT_RUNTIME=$runtime "$work/program" $runtime
done

compile_cxx() {
  # shellcheck disable=SC2046
  c++ -std=c++17 -Wall -Wextra -Werror -x c++ -fsyntax-only "$here/data/program.c" \
    $(pkg-config --cflags aioduct)
}
check 'the same program compiles as C++17' compile_cxx

# By the line in its first comment and nothing else.
compile_plugin() { # compile_plugin FILE
  mkdir -p "$work/plugins"
  line=$(sed -n '/^ \*   cc /,/ -o /s/^ \* *//p' "$here/../../examples/$1")
  echo "$line"
  cp "$here/../../examples/$1" "$work/plugins" && (cd "$work/plugins" && eval "$line -Wall -Wextra -Werror")
}
check 'a plugin builds from one file with the installed helper' compile_plugin runtime-template/pollrt.c
alone() { # alone NAME [LIBRARY]
  exports=$(nm -D --defined-only "$work/plugins/libaioduct-${kind:-rt}-$1.so" | awk '{ print $3 }')
  needs=$(readelf -d "$work/plugins/libaioduct-${kind:-rt}-$1.so" | grep NEEDED | grep -v 'libc\.so')
  echo "$exports" "$needs"
  [ "$exports" = aioduct_plugin_entry_1 ] || return 1
  if [ $# = 1 ]; then [ -z "$needs" ]; else [ "$(grep -c . <<<"$needs")" = 1 ] && [[ $needs == *"[$2"* ]]; fi
}
check 'it exports its entry alone and needs the C library alone' alone pollrt
run_plugin() { AIODUCT_PLUGIN_PATH=$work/plugins AIODUCT_RUNTIME=$1 "$work/program" "$1"; }
check 'a plugin elsewhere is found by AIODUCT_PLUGIN_PATH and fetches a page' run_plugin pollrt
list_plugin() { AIODUCT_PLUGIN_PATH=$work/plugins "$prefix/bin/aioduct" plugins | grep -E "^$1 +ok"; }
check 'the installed command lists it' list_plugin pollrt
over_library() { # over_library PKG_CONFIG_NAME LIBRARY FILE NAME
  pkg-config --exists "$1" || return 0
  check "a plugin over $1 builds from one file, too" compile_plugin "$3"
  check "that over $1 exports its entry alone and needs libc and $2 alone" alone "$4" "$2"
  check "that over $1 fetches a page" run_plugin "$4"
}
over_library glib-2.0 libglib-2.0.so runtime-glib/glibrt.c glibrt
over_library libuv libuv.so runtime-libuv/uvrt.c uvrt

kit() { # kit NAME|PATH - every case, with few rounds
  "$prefix/bin/aioduct" plugins check --tap --scale 5 "$1" # which skips what cannot run here
}
for runtime in libev libevent uring; do
  check "the installed kit passes the installed $runtime" kit $runtime
done
check 'and what is built in' kit epoll
check 'and a plugin that was built of one file' kit "$work/plugins/libaioduct-rt-pollrt.so"
compile_kit() {
  # shellcheck disable=SC2046
  cc -std=c11 -Wall -Wextra -Werror "$here/data/kit.c" -o "$work/kit" $(pkg-config --cflags --libs aioduct-kit)
}
check "a test program of a plugin's own builds with pkg-config" compile_kit
check 'it passes the plugin' "$work/kit" "$work/plugins/libaioduct-rt-pollrt.so"
cp "$here/../../examples/connector-count/count.h" "$work/plugins"
connector_alone() { kind=cx alone "$1"; }
list_connector() { AIODUCT_PLUGIN_PATH=$work/plugins "$prefix/bin/aioduct" plugins | grep -E "^$1 +ok +connector,layer"; }
for connector in count unix; do
  check "the connector $connector builds from one file, too" compile_plugin connector-$connector/$connector.c
  check "the connector $connector exports its entry alone and needs the C library alone" connector_alone $connector
  check "the installed command lists the connector $connector" list_connector $connector
done
run_connector() {
  AIODUCT_PLUGIN_PATH=$work/plugins AIODUCT_CONNECTOR=count AIODUCT_LOG=info:$work/count.log \
    AIODUCT_RUNTIME=epoll "$work/program" epoll && grep -E 'count: 1 dials, 1 connected; [1-9]' "$work/count.log"
}
check 'a page is fetched through the connector count' run_connector

walk() { PATH=$prefix/bin:$PATH "$here/../packages/walk.sh" "$here/../../docs/writing-a-runtime.md"; }
check 'the guide leads from nothing to a page that was fetched on a runtime' walk

pkg_variables() {
  [ "$(pkg-config --variable=abi aioduct)" = 1 ] && [ -d "$(pkg-config --variable=plugindir aioduct)" ]
}
check 'pkg-config knows the plugin directory and the ABI' pkg_variables
remove_all() {
  rm -f "$(pkg-config --variable=plugindir aioduct)"/*.so
  env AIODUCT_RUNTIME= "$work/program" epoll
}
check 'with every plugin file removed epoll serves' remove_all

printf '<?xml version="1.0"?><testsuites><testsuite name="install" tests="%d" failures="%d">%s</testsuite></testsuites>\n' \
  "$total" "$failed" "$cases" >"$junit"
[ $failed = 0 ]
