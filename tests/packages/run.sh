#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Build the Debian packages in a clean system of each release, install them in another, use what is there.
#   run.sh WORK_DIRECTORY JUNIT_FILE [RELEASE...]     as root; releases: bookworm trixie
# Systems are kept in WORK_DIRECTORY/RELEASE-base, made once; the packages in WORK_DIRECTORY/RELEASE.
# shellcheck disable=SC2016 # what is in single quotes is for the shell inside
set -u
work=$1 junit=$2
shift 2
[ $# -gt 0 ] || set -- bookworm trixie
root=$(cd "$(dirname "$0")/../.." && pwd)
mkdir -p "$work"
work=$(cd "$work" && pwd)
cases='' failed=0 total=0

check() { # check NAME COMMAND... - one case
  local name="$release: $1"
  shift
  total=$((total + 1))
  if "$@" >"$work/$release.log" 2>&1; then
    printf 'ok %s\n' "$name"
    cases+="<testcase classname=\"packages\" name=\"$name\"/>"
    return 0
  fi
  printf 'not ok %s\n' "$name"
  tail -n 60 "$work/$release.log" | sed 's/^/  /'
  cases+="<testcase classname=\"packages\" name=\"$name\"><failure message=\"see the log\"/></testcase>"
  failed=$((failed + 1))
  return 1
}

inside() { # inside SYSTEM COMMAND - with a /proc of its own; what it started ends with it
  unshare --mount --pid --fork --mount-proc="$1/proc" chroot "$1" /usr/bin/env -i \
    PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive sh -euxc "umask 022; $2"
}

base() { # the release and nothing else; apt reaches the archive as this machine's does
  [ ! -f "$work/$release-base.made" ] || return 0
  rm -rf --one-file-system "$work/$release-base"
  debootstrap --variant=minbase "$release" "$work/$release-base" || return 1
  cp /etc/resolv.conf "$work/$release-base/etc/"
  apt-config dump | grep -E '^Acquire::https?::' >"$work/$release-base/etc/apt/apt.conf.d/90as-outside"
  touch "$work/$release-base.made"
}

system() { # system NAME - a fresh copy
  rm -rf --one-file-system "${work:?}/$release-$1"
  cp -a "$work/$release-base" "$work/$release-$1"
}

sources() {
  mkdir -p "$work/$release-build/build/aioduct"
  (cd "$root" && git ls-files -z | tar -c --null -T - --ignore-failed-read) |
    tar -x --no-same-owner -C "$work/$release-build/build/aioduct"
}

prepare() {
  system build && sources && inside "$work/$release-build" 'cd /build/aioduct
    apt-get -qq update
    apt-get -qqy install --no-install-recommends build-essential lintian
    apt-get -qqy build-dep --no-install-recommends ./'
}

build() { inside "$work/$release-build" 'cd /build/aioduct && dpkg-buildpackage -us -uc -b'; }
lint() { inside "$work/$release-build" 'cd /build && lintian --allow-root --fail-on error --tag-display-limit 0 *.changes'; }

archive() {
  rm -rf "${work:?}/$release"
  mkdir -p "$work/$release"
  inside "$work/$release-build" 'cd /build && dpkg-scanpackages --multiversion . >Packages' &&
    cp "$work/$release-build"/build/*.deb "$work/$release-build/build/Packages" "$work/$release"
}

# What a reader of the guide does: nothing but a compiler and the package for developers.
install_it() {
  system use && cp -a "$work/$release" "$work/$release-use/packages" &&
    cp "$root/tests/install/data/program.c" "$root"/tests/packages/{walk.sh,blocks.sh,serve.c} \
      "$work/$release-use/root/" && inside "$work/$release-use" '
    echo "deb [trusted=yes] file:/packages ./" >/etc/apt/sources.list.d/packages.list
    apt-get -qq update
    apt-get -qqy install gcc libaioduct-dev'
}

use() { inside "$work/$release-use" "cd /root; $1"; }
four() {
  use 'aioduct plugins >listed; cat listed
    for runtime in epoll uring libev libevent; do grep -E "^$runtime +ok " listed; done
    ls -l /usr/lib/*/aioduct-1'
}
program() {
  use 'cc -std=c11 -Wall -Wextra -Werror program.c $(pkg-config --cflags --libs aioduct) -o program
    for runtime in epoll uring libev libevent; do AIODUCT_RUNTIME=$runtime ./program $runtime; done'
}
walk() { use 'test -z "$(dpkg-query -W -f "\${Package}\n" | grep -E "^(g\+\+|meson|git|python3)$")"
    ./walk.sh /usr/share/doc/libaioduct-dev/writing-a-runtime.md.gz'; }
variables() {
  use 'test "$(pkg-config --variable=abi aioduct)" = 1
    test -f "$(pkg-config --variable=plugindir aioduct)/libaioduct-rt-libev.so"'
}
documents() {
  use 'for page in aioduct.1 aioduct-bench.1 aioduct-plugins.1 aioduct.conf.5 libaioduct.3 aioduct-plugin.7; do
      test -f /usr/share/man/man${page##*.}/$page.gz
    done
    test -f /usr/share/doc/libaioduct-dev/examples/runtime-template/pollrt.c'
}
removed() {
  use 'apt-get -qqy purge "libaioduct-runtime-*"
    ./program epoll && aioduct plugins
    apt-get -qqy purge libaioduct0
    test -z "$(find /usr/lib /usr/include /usr/bin /usr/share/man -name "*aioduct*")"'
}

for release; do
  check 'a clean system is made' base || continue
  check 'what debian/control asks for is there' prepare || continue
  check 'dpkg-buildpackage builds' build || continue
  cp "$work/$release.log" "$work/$release-build.log"
  check 'lintian finds no error' lint
  cp "$work/$release.log" "$work/$release-lintian.log"
  check 'the packages make an archive' archive || continue
  check 'the package for developers installs, and brings the rest' install_it || continue
  check 'the command runs' use 'aioduct --version'
  check 'all four runtimes are ok' four
  check 'a program builds with pkg-config, and fetches on each runtime' program
  check 'the guide leads from nothing to a page that was fetched on a runtime' walk
  check 'pkg-config knows the plugin directory and the ABI' variables
  check 'manual pages and the template are there' documents
  check 'without the runtimes epoll serves, and nothing stays' removed
done

printf '<?xml version="1.0"?><testsuites><testsuite name="packages" tests="%d" failures="%d">%s</testsuite></testsuites>\n' \
  "$total" "$failed" "$cases" >"$junit"
[ $failed = 0 ]
