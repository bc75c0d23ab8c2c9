#!/bin/sh
# SPDX-License-Identifier: MIT
# What leaves a shared object: the library exports aioduct_* of the public headers and nothing else; a plugin exports one
# symbol, needs no libaioduct, and follows the link rules. TAP.
#   symbols.sh SOURCE_ROOT LIBRARY [PLUGIN...]
set -u
root=$1
library=$2
shift 2
n=0
failed=0

result() { # result NAME TEXT - passes if the text is empty
  n=$((n + 1))
  if [ -z "$2" ]; then
    echo "ok $n - $1"
  else
    echo "not ok $n - $1"
    echo "$2" | sed 's/^/# /'
    failed=1
  fi
}

# Sanitizers add names of their own, which are not ours to judge.
exports() {
  nm -D --defined-only "$1" | awk '{ print $3 }' | sed 's/@.*//' | grep -v '^__odr_asan' | sort -u
}
declared=$(cat "$root"/include/aioduct/*.h | tr '\n' ' ' | grep -o 'AIODUCT_API[^;]*' |
  grep -o 'aioduct_[a-z0-9_]*(' | sed 's/(//' | sort -u)
extra=$(exports "$library" | while read -r s; do echo "$declared" | grep -qx "$s" || echo "$s"; done)
result 'the library exports only what its headers declare' "$extra"
missing=$(for s in $declared; do exports "$library" | grep -qx "$s" || echo "$s"; done)
result 'the library has every function that its headers declare' "$missing"

for plugin in "$@"; do
  name=$(basename "$plugin")
  result "$name exports its entry alone" "$(exports "$plugin" | grep -vx aioduct_plugin_entry_1)"
  result "$name does not need libaioduct" "$(readelf -d "$plugin" | grep NEEDED | grep libaioduct)"
  flags=$(readelf -dlW "$plugin")
  sanitized=$(nm -D "$plugin" | grep -E '__(a|t|ub)san' | head -n 1)
  result "$name has no executable stack" "$(echo "$flags" | grep GNU_STACK | grep 'RWE')"
  result "$name has no text relocations" "$(echo "$flags" | grep TEXTREL)"
  result "$name binds at load time" "$(echo "$flags" | grep -q 'BIND_NOW\|NOW' || echo 'no BIND_NOW')"
  result "$name has no run path" "$(echo "$flags" | grep -E 'RPATH|RUNPATH' | grep -v 'ORIGIN')"
  if [ -z "$sanitized" ]; then
    result "$name has no static thread-local storage" "$(echo "$flags" | grep STATIC_TLS)"
  fi
  result "$name carries its note" "$(readelf -n "$plugin" 2>/dev/null | grep -q aioduct || echo 'no note')"
done
echo "1..$n"
exit $failed
