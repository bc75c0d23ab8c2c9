#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Each animal breaks the rule that it was made to break, and no other; the good one none. Prints TAP.

zoo.py CHECK PART/OF PLUGIN=RULE... ("-" for none)
"""
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor


def broken(check, plugin, *options):
    """-> the rules that the kit found broken, and what it said"""
    done = subprocess.run([check, '--scale', '3', '--jobs', '3', '--timeout', '20', *options, plugin],
                          capture_output=True, text=True, timeout=280, check=False)
    said = done.stdout + done.stderr
    found = re.search(r'^broken: (.*)$', said, re.M)
    rules = set(found.group(1).split()) if found else set()
    if done.returncode != (1 if rules else 0):
        raise AssertionError(f'status {done.returncode}:\n{said}')
    return rules, said


def look(check, plugin, rule):
    """-> None, or what is wrong"""
    wanted = set() if rule == '-' else {rule}
    rules, said = broken(check, plugin)
    others = rules - wanted
    if others:  # what a busy machine broke is whole when it is looked at alone
        again, said = broken(check, plugin, *[word for rule in sorted(others) for word in ('--only', rule)])
        rules -= others - again
    return None if rules == wanted else f'broken are {sorted(rules)}, made for {sorted(wanted)}\n{said}'


def main():
    check, share, *animals = sys.argv[1:]
    part, of = map(int, share.split('/'))
    animals = animals[part - 1::of]
    pairs = [animal.rsplit('=', 1) for animal in animals]
    print(f'TAP version 13\n1..{len(pairs)}')
    failed = 0
    with ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda pair: look(check, *pair), pairs)
        for number, ((plugin, rule), wrong) in enumerate(zip(pairs, results), 1):
            name = re.sub(r'^libaioduct-rt-|\.so$', '', os.path.basename(plugin))
            said = 'passes' if rule == '-' else f'is caught by {rule}'
            print(f'{"not ok" if wrong else "ok"} {number} - {name} {said}')
            if wrong:
                failed += 1
                print('\n'.join('# ' + line for line in wrong.splitlines()[:60]))
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
