#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Does ./dev bench work? Each kind of scenario once, with hardly any requests: not what it measures, but
that it does. Prints TAP. bench_test.py BENCH_DIRECTORY BUILD_DIRECTORY
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

BENCH, BUILD = sys.argv[1:3]
sys.path.insert(0, BENCH)
sys.dont_write_bytecode = True

import report  # noqa: E402
import scenarios  # noqa: E402

RUN = os.path.join(BENCH, 'run.py')
KINDS = ['h1-clear-64', 'h1-tls-16', 'h2-clear-10', 'h2-tls-100', 'mixed-h2', 'h2-floor-10', 'fresh', 'handshake-',
         'upload-h1-clear', 'upload-h2-tls', 'idle-h1-clear', 'start-wall', 'workers-h1']
OF_NGINX = ['nginx-h1-clear', 'download-h1-clear', 'download-h2-tls']


class Skip(Exception):
    """The reason why a case cannot run here."""


def need(program):
    if not shutil.which(program):
        raise Skip(f'{program} is not installed')


def bench(*arguments):
    """-> exit status, what it says, the JSON, the chart, the Markdown"""
    with tempfile.TemporaryDirectory() as directory:
        table = os.path.join(directory, 'table.md')
        done = subprocess.run(
            [sys.executable, '-B', RUN, '--build', BUILD, '--rounds', '1', '--repeats', '0', '--scale', '0.001',
             '--results', directory, '--markdown', table, *arguments],
            capture_output=True, text=True, timeout=240, check=False)
        try:
            with open(os.path.join(directory, 'bench.json'), encoding='utf-8') as text:
                results = json.load(text)
            with open(os.path.join(directory, 'bench.svg'), encoding='utf-8') as text:
                chart = text.read()
            with open(table, encoding='utf-8') as text:
                markdown = text.read()
        except FileNotFoundError as error:
            raise AssertionError(f'{error}: {done.stderr.strip()[-300:]}') from error
    return done.returncode, done.stdout, results, chart, markdown


def check(names):
    """Scenarios of these names give a figure for each of ours and for bare clients, in every form."""
    status, said, results, chart, markdown = bench('--only', 'aioduct,bare', '--runtimes', 'epoll', *names)
    assert status == 0, said
    assert [s['scenario'] for s in results['scenarios']] == [s.name for s in scenarios.named(names)], said
    for summary in results['scenarios']:
        assert any(row['name'].startswith('aioduct') for row in summary['rows']), summary
        for row in summary['rows']:
            # Of the smallest runs the CPU may be below what the clock can tell.
            assert row['failed'] is None and row['median'] >= 0, (summary['scenario'], row)
        assert f'| {summary["title"]}' in markdown, markdown
        assert summary['title'] in ''.join(xml.etree.ElementTree.fromstring(chart).itertext())


def every_kind():
    check(KINDS)


def against_nginx():
    need('nginx')
    check(OF_NGINX)


def counted():
    need('valgrind')
    check(['instructions-h2'])


def failures_are_shown():
    status, said, results, _, markdown = bench('--only', 'aioduct', '--runtimes', 'none-such', 'fresh')
    row = results['scenarios'][0]['rows'][0]
    assert status == 1 and row['median'] is None and 'none-such' in row['failed'], (status, row)
    assert row['failed'] in said and 'failed' in markdown, said
    status, said, *_ = bench('--only', 'none-such', 'fresh')
    assert status == 1 and "'none-such'" in said, (status, said)


class Example(scenarios.Scenario):
    """Figures that are known."""

    def __init__(self):
        super().__init__('example', 'an example', [
            scenarios.Target(0.85, 'wrk'), scenarios.Target(0.35, scenarios.BEST_LIBCURL),
            scenarios.Target(5.0), scenarios.Target(1.0, 'aioduct epoll', 'uring')])

    @staticmethod
    def value(figures):
        return figures['us']


def rounds(*values):
    return [{'us': value} for value in values]


def ratios_are_of_one_round():
    """A machine that is twice as slow in one round changes no ratio."""
    runs = {'wrk': rounds(10, 20, 10), 'libcurl a': rounds(30, 60, 30), 'libcurl b': rounds(20, 40, 20),
            'aioduct epoll': rounds(8, 16, 8), 'aioduct uring': rounds(4, 8, 9)}
    summary = report.summarise(Example(), runs, dict.fromkeys(runs, 'wrk'))
    rows = {row['name']: row for row in summary['rows']}
    assert rows['aioduct epoll']['ratio'] == 0.8 and rows['aioduct uring']['ratio'] == 0.4, rows
    found = {name: [(t['against'], round(t['value'], 3), t['met']) for t in rows[name]['targets']]
             for name in ('aioduct epoll', 'aioduct uring')}
    assert found == {
        'aioduct epoll': [('wrk', 0.8, True), ('libcurl b', 0.4, False), (None, 8, False),
                          ('aioduct epoll', 1.0, True)],
        'aioduct uring': [('wrk', 0.4, True), ('libcurl b', 0.2, True), (None, 8, False),
                          ('aioduct epoll', 0.5, True), ('aioduct epoll', 0.5, True)]}, found


def no_reference_no_verdict():
    runs = {'wrk': [{'error': 'is not here'}], 'aioduct epoll': rounds(8)}
    summary = report.summarise(Example(), runs, dict.fromkeys(runs, 'wrk'))
    ours = summary['rows'][1]
    assert ours['median'] == 8 and ours['ratio'] is None, ours
    assert [t['met'] for t in ours['targets'][:2]] == [None, None], ours
    assert summary['rows'][0]['failed'] == 'is not here', summary


CASES = {
    'each kind of scenario gives figures, a chart and a table': every_kind,
    'nginx serves requests and large bodies': against_nginx,
    'instructions are counted': counted,
    'a contender that cannot run stands in the results with the reason': failures_are_shown,
    'ratios and targets are of one round': ratios_are_of_one_round,
    'what cannot be compared is not judged': no_reference_no_verdict,
}


def main():
    failed = False
    print(f'1..{len(CASES)}')
    for number, (name, case) in enumerate(CASES.items(), 1):
        try:
            case()
            print(f'ok {number} - {name}', flush=True)
        except Skip as reason:
            print(f'ok {number} - {name} # SKIP {reason}', flush=True)
        except AssertionError as error:
            failed = True
            text = str(error).replace('\n', '\n# ')
            print(f'not ok {number} - {name}\n# {text}', flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
