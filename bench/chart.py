# SPDX-License-Identifier: MIT
"""A chart of a run: for each scenario bars of the medians, and a line from the least to the most."""
import html

WIDTH, LEFT, STEP = 760, 210, 22
COLOURS = {'aioduct': '#2a6f97', '': '#adb5bd'}


def text(x, y, words, **attributes):
    more = ''.join(f' {name.replace("_", "-")}="{value}"' for name, value in attributes.items())
    return f'<text x="{x:.0f}" y="{y:.0f}"{more}>{html.escape(words)}</text>'


def bar(row, y, scale):
    colour = COLOURS['aioduct' if row['name'].startswith('aioduct') else '']
    least, median, most = (row[name] * scale for name in ('least', 'median', 'most'))
    ratio = '' if row['ratio'] is None else f' ({row["ratio"]:.2f})'
    return [
        text(LEFT - 8, y + 13, row['name'], text_anchor='end'),
        f'<rect x="{LEFT}" y="{y}" width="{median:.1f}" height="16" fill="{colour}"/>',
        f'<line x1="{LEFT + least:.1f}" x2="{LEFT + most:.1f}" y1="{y + 8}" y2="{y + 8}" stroke="black"/>',
        text(LEFT + max(median, most) + 6, y + 13, f'{row["median"]:,.2f}{ratio}')]


def panel(summary, y):
    """-> elements, and where the next panel begins"""
    rows = [row for row in summary['rows'] if row['median'] is not None]
    scale = (WIDTH - LEFT - 130) / (max((row['most'] for row in rows), default=1) or 1)
    parts = [text(10, y + 16, f'{summary["title"]} ({summary["figure"]})', font_weight='bold')]
    y += 26
    for row in rows:
        parts += bar(row, y, scale)
        y += STEP
    return parts, y + 14


def draw(run):
    shape = run['machine']
    parts = [text(10, 20, f'{shape["cpu"]}, Linux {shape["kernel"]}; {run["started"]}; medians of '
                          f'{run["rounds"]} rounds, ratios to the first of each group in brackets')]
    y = 34
    for summary in run['scenarios']:
        more, y = panel(summary, y)
        parts += more
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" font-family="sans-serif" '
            'font-size="12">')
    return '\n'.join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, '</svg>', ''])
