#!/bin/sh
# SPDX-License-Identifier: MIT
# Every public header compiles alone: C11, C17 and C++17, strict, with each compiler that is there. TAP.
#   headers.sh SOURCE_ROOT
# shellcheck disable=SC2086 # the options of a compiler are many words
set -u
root=$1
n=0
failed=0
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

check() { # check NAME COMMAND...
  name=$1
  shift
  n=$((n + 1))
  if "$@" >"$dir/log" 2>&1; then
    echo "ok $n - $name"
  else
    echo "not ok $n - $name"
    sed 's/^/# /' "$dir/log"
    failed=1
  fi
}

strict='-Wall -Wextra -pedantic -Werror -fsyntax-only'
for header in $(cd "$root/include" && find aioduct -name '*.h' | sort); do
  printf '#include <%s>\nextern int alone;\n' "$header" >"$dir/one.c"
  printf '#include <aioduct/plugin/plugin.h>\n#include <%s>\n' "$header" >"$dir/two.c"
  printf '#include <%s>\n#include <aioduct/plugin/plugin.h>\n' "$header" >"$dir/three.c"
  for compiler in gcc clang; do
    command -v $compiler >/dev/null || continue
    for std in c11 c17; do
      check "$header alone is clean $std with $compiler" \
        $compiler -std=$std $strict -I"$root/include" "$dir/one.c"
    done
  done
  for compiler in g++ clang++; do
    command -v $compiler >/dev/null || continue
    check "$header alone is clean C++17 with $compiler" \
      $compiler -std=c++17 $strict -x c++ -I"$root/include" "$dir/one.c"
  done
  check "$header goes after the plugin header" gcc -std=c11 $strict -I"$root/include" "$dir/two.c"
  check "$header goes before the plugin header" gcc -std=c11 $strict -I"$root/include" "$dir/three.c"
done
printf '#include <aioduct/aioduct.h>\nstruct aioduct_client_options o = AIODUCT_CLIENT_OPTIONS_INIT;\n' \
  >"$dir/init.c"
check 'the options initialiser raises no warning in C' gcc -std=c11 $strict -I"$root/include" "$dir/init.c"
check 'nor in C++' g++ -std=c++17 $strict -x c++ -I"$root/include" "$dir/init.c"
echo "1..$n"
exit $failed
