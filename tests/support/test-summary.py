#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""summary.py on reports of two Meson versions: test-summary.py DIRECTORY-OF-REPORTS

The reports hold programs that passed, failed, skipped, crashed at the start, in the middle and at
the end, hung, leaked, and printed what is not legal in XML.
"""

import glob
import os
import subprocess
import sys

SUMMARY = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'summary.py')


def run(*paths):
    done = subprocess.run([sys.executable, SUMMARY, *paths], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True, check=False)
    return done.returncode, done.stdout


def report(number, good, name, output):
    print(f'{"ok" if good else "not ok"} {number} - {name}')
    if not good:
        print(''.join(f'# {line}\n' for line in output.splitlines()), end='')
    return good


def main(directory):
    reports = sorted(glob.glob(os.path.join(directory, '*.junit.xml')))
    print(f'1..{len(reports) + 2}')
    all_good = bool(reports)
    for number, path in enumerate(reports, 1):
        with open(path.replace('.junit.xml', '.expected'), encoding='utf-8') as expected:
            status, output = run(path)
            all_good &= report(number, status == 1 and output == expected.read(),
                               f'{os.path.basename(path)} is summed up', output)
    status, output = run(*reports)
    all_good &= report(len(reports) + 1, output.endswith('40 passed, 24 failed, 8 skipped\n'),
                       'several reports are added up', output)
    status, output = run()
    all_good &= report(len(reports) + 2, status != 0, 'no report is a mistake', output)
    return 0 if all_good else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
