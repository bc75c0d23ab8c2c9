#!/bin/sh
# SPDX-License-Identifier: MIT
# Print the code blocks of a page that carry a name, one after the other with an empty line between them.
#   blocks.sh PAGE 'c pollrt.c'
set -eu
case $1 in *.gz) gzip -dc "$1" ;; *) cat "$1" ;; esac | awk -v want="\`\`\`$2" '
  $0 == want { inside = 1; if (count++) print ""; next }
  inside && $0 == "```" { inside = 0; next }
  inside { print }'
