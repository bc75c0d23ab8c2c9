# SPDX-License-Identifier: MIT
"""From rounds to a table, a JSON file and a chart."""
import html
import json
import os
import subprocess


def values_of(scenario, rounds):
    found = []
    for figures in rounds:
        value = None if 'error' in figures else scenario.value(figures)
        found.append(value)
    return found


def summarise(scenario, rounds, references, median):
    """Medians, and medians of the ratios to each contender's reference, each taken within its round."""
    rows = []
    for name, runs in rounds.items():
        values = values_of(scenario, runs)
        good = [v for v in values if v is not None]
        failed = next((r['error'] for r in runs if 'error' in r), None)
        reference = values_of(scenario, rounds[references[name]])
        pairs = [v / r for v, r in zip(values, reference) if v is not None and r is not None and r > 0]
        rows.append({'name': name, 'median': median(good) if good else None,
                     'least': min(good, default=None), 'most': max(good, default=None),
                     'ratio': median(pairs) if pairs else None, 'failed': failed, 'values': values})
    return {'scenario': scenario.name, 'title': scenario.title, 'figure': scenario.figure, 'rows': rows}


def table(summary):
    lines = [f"{summary['title']} ({summary['figure']})"]
    for row in summary['rows']:
        if row['median'] is None:
            lines.append(f"  {row['name']:24} failed: {row['failed']}")
        else:
            lines.append(f"  {row['name']:24} {row['median']:10.2f}  ratio {row['ratio'] or 0:6.2f}"
                         f"   ({row['least']:.2f} to {row['most']:.2f})")
    return '\n'.join(lines)


def versions():
    def first_line(*command):
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return None
        return (done.stdout or done.stderr).splitlines()[0].strip()
    found = {'wrk': first_line('wrk', '-v'), 'h2load': first_line('h2load', '--version'),
             'curl': first_line('curl', '--version'),
             'aioduct': first_line('git', 'describe', '--always', '--dirty')}
    return {name: text for name, text in found.items() if text}


def chart(summary):
    """Bars of the medians; a line from the least to the most."""
    rows = [row for row in summary['rows'] if row['median'] is not None]
    top = max((row['most'] for row in rows), default=1) or 1
    width, left, step = 720, 200, 26
    scale = (width - left - 90) / top
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{step * len(rows) + 50}" '
             'font-family="sans-serif" font-size="13">',
             '<rect width="100%" height="100%" fill="white"/>',
             f'<text x="10" y="20" font-weight="bold">{html.escape(summary["title"])} '
             f'({html.escape(summary["figure"])})</text>']
    for number, row in enumerate(rows):
        y = 36 + number * step
        colour = '#2a6f97' if 'aioduct' in row['name'] else '#adb5bd'
        end = left + row['median'] * scale
        parts.append(f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{html.escape(row["name"])}</text>')
        parts.append(f'<rect x="{left}" y="{y}" width="{row["median"] * scale:.1f}" height="18" fill="{colour}"/>')
        parts.append(f'<line x1="{left + row["least"] * scale:.1f}" x2="{left + row["most"] * scale:.1f}" '
                     f'y1="{y + 9}" y2="{y + 9}" stroke="black"/>')
        parts.append(f'<text x="{max(end, left + row["most"] * scale) + 6:.1f}" y="{y + 14}">'
                     f'{row["median"]:.2f} ({row["ratio"] or 0:.2f})</text>')
    return '\n'.join(parts + ['</svg>', ''])


def write(directory, shape, rounds, summaries):
    os.makedirs(directory, exist_ok=True)
    for summary in summaries:
        base = os.path.join(directory, summary['scenario'])
        with open(base + '.json', 'w', encoding='utf-8') as out:
            json.dump({'machine': shape, 'versions': versions(), 'rounds': rounds, **summary}, out, indent=1)
            out.write('\n')
        with open(base + '.svg', 'w', encoding='utf-8') as out:
            out.write(chart(summary))
