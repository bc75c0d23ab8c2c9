#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""From rounds to tables, a JSON file and a chart. As a program: the table of an earlier run.

report.py bench/results/bench.json [--markdown FILE]
"""
import argparse
import json
import os
import statistics
import sys

import chart

OURS = 'aioduct'
PEER = 'libcurl'


def values_of(scenario, rounds):
    return [None if 'error' in figures else scenario.value(figures) for figures in rounds]


def pairs(values, others):
    """Ratios, each within its round."""
    return [v / o for v, o in zip(values, others) if v is not None and o]


def summarise(scenario, rounds, references):
    """Medians, medians of the ratios to each contender's reference, and what became of the targets."""
    rows = []
    for name, runs in rounds.items():
        values = values_of(scenario, runs)
        good = [v for v in values if v is not None]
        ratios = pairs(values, values_of(scenario, rounds.get(references[name], [])))
        notes = [note for note in (scenario.note(r) for r in runs if 'error' not in r) if note]
        rows.append({
            'name': name, 'reference': references[name],
            'median': statistics.median(good) if good else None,
            'least': min(good, default=None), 'most': max(good, default=None),
            'ratio': statistics.median(ratios) if ratios else None,
            'failed': next((r['error'] for r in runs if 'error' in r), None),
            'note': notes[-1] if notes else None,
            'repeats': sum(r.get('repeats', 0) for r in runs),
            'values': [None if v is None else round(v, 3) for v in values]})
    for row in rows:
        row['targets'] = [judge(target, row, rows) for target in scenario.targets
                          if row['name'].startswith(OURS) and aims_at(target, row)]
    return {'scenario': scenario.name, 'title': scenario.title, 'figure': scenario.figure, 'rows': rows}


def failed(scenario, why):
    return {'scenario': scenario.name, 'title': scenario.title, 'figure': scenario.figure, 'rows': [],
            'failed': why}


def aims_at(target, row):
    return target.runtime is None or row['name'] == f'{OURS} {target.runtime}'


def best_of(rows, beginning):
    found = [row for row in rows if row['name'].startswith(beginning) and row['median'] is not None]
    return min(found, key=lambda row: row['median'], default=None)


def judge(target, row, rows):
    """-> the target, and how far it is reached: value and met are None where that cannot be said."""
    found = {'at_most': target.at_most, 'of': target.of, 'against': target.of, 'value': None, 'met': None}
    if target.of is None:
        found['value'] = row['median']
    else:
        if target.of.startswith('best '):
            other = best_of(rows, PEER if target.of == 'best libcurl' else OURS)
        else:
            other = next((r for r in rows if r['name'] == target.of), None)
        if other is not None:
            found['against'] = other['name']
            ratios = pairs(row['values'], other['values'])
            found['value'] = statistics.median(ratios) if ratios else None
    if found['value'] is not None:
        found['met'] = found['value'] <= target.at_most
    return found


# ---- text ----

def limit_text(target):
    if target['of'] is None:
        return f'{target["at_most"]:,}'
    if target['at_most'] == 1 / 15:
        return f'1/15 of {target["of"]}'
    return f'{target["at_most"]:.2f} of {target["of"]}'


def value_text(target):
    return f'{target["value"]:,.0f}' if target['of'] is None else f'{target["value"]:.3f}'


def target_text(target):
    if target['met'] is None:
        return f'[{limit_text(target)}: unknown]'
    return f'[{limit_text(target)}: {value_text(target)} {"met" if target["met"] else "MISSED"}]'


def row_text(row):
    text = f"  {row['name']:24}"
    if row['median'] is None:
        return f'{text} failed: {row["failed"]}'
    text += f" {row['median']:10.2f}"
    text += f"  ratio {row['ratio']:6.3f}" if row['ratio'] is not None else ' ' * 14
    text += f"   ({row['least']:.2f} to {row['most']:.2f})"
    text += f'  {row["note"]}' if row['note'] else ''
    text += f'  failed later: {row["failed"]}' if row['failed'] else ''
    return ' '.join([text, *map(target_text, row['targets'])])


def table(summary):
    lines = [f"{summary['scenario']}: {summary['title']} ({summary['figure']}; {summary['seconds']} s)"]
    if summary.get('failed'):
        lines.append(f"  failed: {summary['failed']}")
    return '\n'.join(lines + [row_text(row) for row in summary['rows']])


def all_targets(run):
    for summary in run['scenarios']:
        for row in summary['rows']:
            for target in row['targets']:
                yield summary, row, target


def failures(run, beginning=''):
    """Who could not do what."""
    found = [(s['scenario'], row['name'], row['failed']) for s in run['scenarios'] for row in s['rows']
             if row['failed'] and row['name'].startswith(beginning)]
    return found + [(s['scenario'], '', s['failed']) for s in run['scenarios'] if s.get('failed')]


def closing(run):
    """What a reader wants to know last."""
    judged = [(s, row, t) for s, row, t in all_targets(run) if t['met'] is not None]
    missed = [(t['value'] / t['at_most'], s, row, t) for s, row, t in judged if not t['met']]
    lines = [f'{len(judged)} targets, {len(missed)} missed, {run["seconds"]} s']
    for _, summary, row, target in sorted(missed, key=lambda m: -m[0]):
        lines.append(f"  {summary['scenario']:20} {row['name']:18} {target_text(target)}")
    for scenario, name, why in failures(run):
        lines.append(f'  failed: {scenario} {name}: {why}')
    return '\n'.join(lines)


# ---- Markdown ----

def number(value):
    return '-' if value is None else f'{value:,.0f}' if value >= 1000 else f'{value:.2f}'


def runtimes_of(run):
    names = []
    for summary in run['scenarios']:
        for row in summary['rows']:
            name = row['name'].removeprefix(OURS + ' ').removesuffix(' x1').removesuffix(' x2')
            if row['name'].startswith(OURS) and name not in names:
                names.append(name)
    return names


def cell(row, absolute):
    if row is None:
        return '-'
    if row['median'] is None:
        return 'failed'
    text = number(row['median']) if absolute else f'{row["ratio"]:.2f}' if row['ratio'] is not None else '-'
    return text + (f' ({row["note"]})' if row['note'] else '')


def met_text(targets, runtime_of):
    """@targets: the same one of each runtime."""
    missed = [f'{runtime_of(row)} {value_text(t)}' for row, t in targets if t['met'] is False]
    unknown = [runtime_of(row) for row, t in targets if t['met'] is None]
    if missed or unknown:
        return 'no: ' + ', '.join(missed + [f'{name} unknown' for name in unknown])
    return 'yes'


def targets_of(summary):
    """-> [(text, met)], each target once"""
    found = {}
    for row in summary['rows']:
        for target in row['targets']:
            found.setdefault(limit_text(target), []).append((row, target))
    return [(text, met_text(targets, lambda row: row['name'].removeprefix(OURS + ' ')))
            for text, targets in found.items()]


def worker_cells(by_name, runtimes):
    return [cell(by_name.get(f'{OURS} {name} x2'), False) for name in runtimes]


def markdown_row(summary, runtimes):
    if not summary['rows']:
        return f'| {summary["title"]} | failed: {summary["failed"]} |' + ' |' * (len(runtimes) + 3)
    by_name = {row['name']: row for row in summary['rows']}
    reference = summary['rows'][0]
    absolute = 'instructions' in summary['figure'] or reference['name'].startswith(OURS)
    if f'{OURS} {runtimes[0]} x2' in by_name:
        first, cells = 'its own one loop', worker_cells(by_name, runtimes)
    else:
        first = '-' if reference['name'].startswith(OURS) else f'{reference["name"]} {number(reference["median"])}'
        cells = [cell(by_name.get(f'{OURS} {name}'), absolute) for name in runtimes]
    best = best_of(summary['rows'], PEER)
    peer = '-' if best is None else f'{cell(best, absolute)} ({best["name"].removeprefix(PEER + " ")})'
    shown = targets_of(summary)
    unit = '' if summary['figure'] == 'us/request' else f' ({summary["figure"]})'
    return (f'| {summary["title"]}{unit} | {first} | {" | ".join(cells)} | {peer} | '
            f'{"; ".join(text for text, _ in shown) or "-"} | {"; ".join(met for _, met in shown) or "-"} |')


def markdown(run):
    """A table for docs/PERFORMANCE.md."""
    runtimes = runtimes_of(run) or [OURS]
    shape, versions = run['machine'], run['versions']
    heads = ['scenario', 'reference, us', *runtimes, 'best libcurl', 'target, at most', 'met']
    lines = [
        f'{shape["cpu"]}, {shape["cores"]} cores, {shape["memory_mib"]} MiB, Linux {shape["kernel"]}, '
        f'TCP {shape["congestion_control"]}; {run["started"]}, {run["rounds"]} rounds, '
        f'{run["seconds"] // 60} minutes. ' +
        ', '.join(f'{name} {text}' for name, text in versions.items()) + '.', '',
        '| ' + ' | '.join(heads) + ' |', '|' + '---|' * len(heads)]
    lines += [markdown_row(summary, runtimes) for summary in run['scenarios']]
    return '\n'.join(lines + [''])


# ---- files ----

def write(directory, run):
    """All of a run in one JSON file and one chart; after each scenario, so that what was made is kept."""
    os.makedirs(directory, exist_ok=True)
    for name, text in (('bench.json', json.dumps(run, indent=1) + '\n'), ('bench.svg', chart.draw(run))):
        new = os.path.join(directory, name + '.new')
        with open(new, 'w', encoding='utf-8') as out:
            out.write(text)
        os.replace(new, os.path.join(directory, name))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('results', help='a bench.json')
    parser.add_argument('--markdown', metavar='FILE', help='write the table there')
    arguments = parser.parse_args()
    with open(arguments.results, encoding='utf-8') as text:
        run = json.load(text)
    if arguments.markdown:
        with open(arguments.markdown, 'w', encoding='utf-8') as out:
            out.write(markdown(run))
        return 0
    for summary in run['scenarios']:
        print(table(summary))
    print(closing(run))
    return 0


if __name__ == '__main__':
    sys.exit(main())
