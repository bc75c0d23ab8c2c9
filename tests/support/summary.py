#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Say what a test run came to: summary.py meson-logs/testlog.junit.xml...

One line for each failed and each skipped case with its reason, and as the last line
"N passed, N failed, N skipped". What counts is the case (a TAP line), not the program it runs in;
a program without cases of its own is one case. A program that crashed, ran out of time or stopped
before its last case is one failure more. The exit status is 1 if anything failed.

Meson's JUnit file does not show every crash: a program that died after its last case, or was
killed by the time limit with cases behind it, looks like one that passed. So the plan and the exit
status in the output are checked too, and the verdict in testlog.json beside the file if it is there.
"""

import json
import os
import re
import sys
import xml.etree.ElementTree as ElementTree

PLAN = re.compile(r'^1\.\.(\d+)(?:\s*#\s*SKIP\S*\s*(.*))?$', re.IGNORECASE | re.MULTILINE)
EXITED = re.compile(r'\(test program exited with status code (-?\d+)\)')
BAIL_OUT = re.compile(r'^Bail out!\s*(.*)$', re.MULTILINE)
NUMBER = re.compile(r'^\d+\s+-?\s*')
ILLEGAL = re.compile('[\x00-\x08\x0b\x0c\x0e-\x1f]')
KILLED = {'TIMEOUT': 'ran out of time', 'INTERRUPT': 'was interrupted', 'ERROR': 'ended abnormally'}


class Totals:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def fail(self, name, reason):
        self.failed += 1
        print(line('FAIL', name, reason))

    def skip(self, name, reason):
        self.skipped += 1
        print(line('SKIP', name, reason or 'no reason given'))


def line(word, name, reason):
    text = ' '.join(reason.split())
    return f'{word} {name}: {text}' if text else f'{word} {name}'


def text_of(element, tag):
    found = element.find(tag)
    return found.text or '' if found is not None else ''


def short(name):
    """Meson writes "project:suites / test"."""
    return name.rsplit(' / ', 1)[-1]


def verdicts(junit_path):
    """Test name -> meson's own result, from testlog.json beside the JUnit file."""
    path = re.sub(r'\.junit\.xml$', '.json', junit_path)
    found = {}
    if path != junit_path and os.path.exists(path):
        with open(path, encoding='utf-8', errors='replace') as log:
            for entry in log:
                test = json.loads(entry)
                found[short(test['name'])] = test['result']
    return found


def comments_after(output, case):
    """The TAP comments under a failed case: why it failed."""
    lines = output.splitlines()
    for i, text in enumerate(lines):
        match = re.match(r'not ok (\d+)\s*-?\s*(.*)', text)
        if not match or f'{match[1]} {match[2]}'.strip() not in (case, case.replace('- ', '', 1)):
            continue
        reasons = []
        for comment in lines[i + 1:]:
            if not comment.startswith('#'):
                break
            reasons.append(comment.lstrip('# '))
        return '; '.join(reasons)
    return ''


def program_trouble(output, errors, cases, any_failed, verdict):
    """Why a program as a whole failed, beyond its failed cases; '' if it did not."""
    bail_out = BAIL_OUT.search(output)
    if verdict in ('TIMEOUT', 'INTERRUPT'):
        return KILLED[verdict]
    if bail_out:
        return '' if any_failed else f'gave up: {bail_out[1]}'
    status = EXITED.search(errors)
    plan = PLAN.search(output)
    if plan and int(plan[1]) != cases:
        ended = f', exit status {status[1]}' if status else ''
        return f'{cases} of {plan[1]} cases gave a result{ended}'
    # A failed case makes exit status 1; any other status, or status 1 without one, is a crash.
    if status and (status[1] != '1' or not any_failed):
        return f'exit status {status[1]}'
    if verdict == 'ERROR' and not any_failed:
        return KILLED[verdict]
    return ''


def count_program(suite, totals, results):
    """A testsuite element of one TAP program: a testcase element each case."""
    program = short(suite.get('name', '').split('.', 1)[-1])
    output, errors = text_of(suite, 'system-out'), text_of(suite, 'system-err')
    cases = suite.findall('testcase')
    any_failed = False
    for case in cases:
        name = case.get('name', '')
        label = f'{program}: {NUMBER.sub("", name)}'
        if case.find('skipped') is not None:
            totals.skip(label, text_of(case, 'system-out'))
        elif case.find('failure') is not None or case.find('error') is not None:
            any_failed = True
            totals.fail(label, comments_after(output, name) or text_of(case, 'system-out'))
        else:
            totals.passed += 1
    trouble = program_trouble(output, errors, len(cases), any_failed, results.get(program))
    if trouble:
        totals.fail(program, trouble)


def count_plain(case, totals, results):
    """A testcase element of a program that gave no cases: one line, one verdict."""
    program = short(case.get('name', ''))
    output, errors = text_of(case, 'system-out'), text_of(case, 'system-err')
    verdict = results.get(program)
    plan = PLAN.search(output)
    bad = case.find('failure') is not None or case.find('error') is not None
    if bad or verdict in ('TIMEOUT', 'INTERRUPT', 'ERROR', 'FAIL'):
        status = EXITED.search(errors)
        last = (errors.strip() or output.strip()).splitlines()[-1:] or ['']
        totals.fail(program, KILLED.get(verdict, '') if verdict != 'ERROR' else
                    f'exit status {status[1]}' if status else last[0])
    elif plan and int(plan[1]) > 0:
        totals.fail(program, f'0 of {plan[1]} cases gave a result')
    elif case.find('skipped') is not None:
        last = output.strip().splitlines()[-1:] or ['']
        totals.skip(program, plan[2] if plan and plan[2] else last[0])
    else:
        totals.passed += 1


def count_file(path, totals):
    results = verdicts(path)
    # Old Meson writes what a program printed without escaping, and some of it is not legal in XML.
    with open(path, encoding='utf-8', errors='replace') as report:
        root = ElementTree.fromstring(ILLEGAL.sub('?', report.read()).encode())
    for suite in root.iter('testsuite'):
        cases = suite.findall('testcase')
        # Meson puts programs without cases under the project's own name, which has no dot, and
        # then keeps each one's output inside its testcase.
        if '.' in suite.get('name', ''):
            count_program(suite, totals, results)
        else:
            for case in cases:
                count_plain(case, totals, results)


def main(paths):
    if not paths:
        sys.exit('usage: summary.py testlog.junit.xml...')
    totals = Totals()
    for path in paths:
        count_file(path, totals)
    print(f'{totals.passed} passed, {totals.failed} failed, {totals.skipped} skipped')
    return 1 if totals.failed else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
