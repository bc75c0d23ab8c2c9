#!/bin/sh
# SPDX-License-Identifier: MIT
# Every shell script is clean to shellcheck. TAP.
#   scripts.sh SOURCE_ROOT
set -u
cd "$1" || exit 1
if ! command -v shellcheck >/dev/null; then
  echo '1..0 # SKIP shellcheck is not installed'
  exit 0
fi
n=0
failed=0
for script in dev .ci/run tools/demo $(find tests tools bench -name '*.sh'); do
  n=$((n + 1))
  if said=$(shellcheck "$script"); then
    echo "ok $n - $script"
  else
    echo "not ok $n - $script"
    echo "$said" | sed 's/^/# /'
    failed=1
  fi
done
echo "1..$n"
exit $failed
