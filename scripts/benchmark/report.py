"""Tables and charts of what the JSON files hold: markdown, one HTML page, and one PNG where matplotlib is installed."""

import html
import os

from . import figures, results
from .results import shown

COLOURS = {"ours": "#c0392b", "floor": "#999999", "redis-7.0": "#2c6fbb", "redis-8.2": "#5b9bd5", "valkey-9.1": "#7d5ba6"}
OTHER_COLOUR = "#5a8f5a"
LONGEST_RATIO = 3            # in the picture; what is longer leaves it
BAR, GAP, LEFT, WIDTH = 11, 10, 300, 900
STYLE = """body { font: 14px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 1000px; color: #222 }
table { border-collapse: collapse } td, th { padding: 2px 10px; text-align: right; border-bottom: 1px solid #ddd }
td:first-child, th:first-child { text-align: left } .short { color: #b00 } .pass { color: #070 }
svg { display: block; margin: 1em 0 2em } svg text { font: 11px system-ui, sans-serif }"""


def by_figure(rows):
    """figure -> rows, in the order in which they came."""
    tables = {}
    for row in rows:
        tables.setdefault((row["figure"], row["unit"]), []).append(row)
    return tables


def labels_of(rows):
    """Ours first, the floor last, between them the peers."""
    found = dict.fromkeys(label for row in rows for label in row["samples"])
    return sorted(found, key=lambda label: (label != figures.OURS, label == figures.FLOOR))


def cells(part, row, labels):
    """One line of a table: measure, medians, ratio, spread of ours, targets, judgements."""
    if "error" in row:
        return [row["measure"], *[""] * (len(labels) + 2), "", "FAILED: " + row["error"].replace("\n", " ")]
    middle = figures.medians(row["samples"])
    beside = figures.ratio(middle, row["better"])
    judged = list(figures.judged(part, row))
    names = {"best": "%.2f ×", "floor": "%.2f × floor", "absolute": "%g " + row["unit"]}
    targets = "; ".join(("≤ " + names[against]) % at_most for against, at_most, _, _ in judged)
    words = "; ".join(("pass" if passes else "short") + (" (%s)" % shown(came_to) if against != "best" else "")
                      for against, _, came_to, passes in judged)
    ours = row["samples"].get(figures.OURS)
    return [row["measure"], *[shown(middle[label]) if label in middle else "" for label in labels],
            "" if beside is None else "%.2f" % beside, "±%.0f%%" % (50 * figures.spread(ours)) if ours and len(ours) > 1 else "",
            targets, words]


def titles(labels):
    return ["measure", *labels, "ratio to best", "rounds", "target", ""]


def markdown(part, rows):
    for (figure, unit), group in by_figure(rows).items():
        labels = labels_of(group)
        yield "### %s: %s%s" % (part, figure, " [%s]" % unit if unit else "")
        yield ""
        yield "| %s |" % " | ".join(titles(labels))
        yield "|---|%s---|---|" % ("--:|" * (len(labels) + 2))
        for row in group:
            yield "| %s |" % " | ".join(cells(part, row, labels))
        yield ""


def svg(rows, labels):
    """Bars, each measure scaled by its own longest."""
    height = sum(len(row["samples"]) * BAR + GAP for row in rows)
    parts, y = [], 0
    for row in rows:
        middle = figures.medians(row["samples"])
        longest = max(middle.values(), default=0) or 1
        parts.append('<text x="%d" y="%d" text-anchor="end">%s</text>' % (LEFT - 8, y + BAR, html.escape(row["measure"])))
        for label in labels:
            if label not in middle:
                continue
            width = max(1, (WIDTH - LEFT - 160) * middle[label] / longest)
            parts.append('<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>' % (
                LEFT, y + 1, width, BAR - 2, COLOURS.get(label, OTHER_COLOUR)))
            parts.append('<text x="%.1f" y="%d">%s %s</text>' % (LEFT + width + 4, y + BAR - 2, html.escape(label), shown(middle[label])))
            y += BAR
        y += GAP
    return '<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d">%s</svg>' % (WIDTH, height, "".join(parts))


def html_table(part, rows, labels):
    lines = ["<tr>%s</tr>" % "".join("<th>%s</th>" % html.escape(title) for title in titles(labels))]
    for row in rows:
        texts = cells(part, row, labels)
        kind = "short" if texts[-1].startswith("FAILED") or "short" in texts[-1] else "pass"
        columns = ["<td>%s</td>" % html.escape(text) for text in texts[:-1]]
        lines.append("<tr>%s<td class=\"%s\">%s</td></tr>" % ("".join(columns), kind, html.escape(texts[-1])))
    return "<table>%s</table>" % "".join(lines)


def runs_of(rows):
    return list({row["run"]["id"]: row["run"] for row in rows}.values())


def told_of_run(run):
    return "run of %s, commit %s, %s round(s)%s, %s, Linux %s; %s" % (
        run.get("started"), run.get("commit"), run.get("rounds"), ", QUICK: no figure to rely on" if run.get("quick") else "",
        run.get("processor"), run.get("kernel"), "; ".join("%s: %s" % pair for pair in run.get("versions", {}).items()))


def page(parts):
    body = []
    for part, rows in parts.items():
        body.append("<h2>%s</h2>" % html.escape(part))
        body += ["<p><small>%s</small></p>" % html.escape(told_of_run(run)) for run in runs_of(rows)]
        for (figure, unit), group in by_figure(rows).items():
            labels = labels_of(group)
            body.append("<h3>%s%s</h3>" % (html.escape(figure), html.escape(" [%s]" % unit) if unit else ""))
            body.append(html_table(part, group, labels))
            if any(row["samples"] for row in group):
                body.append(svg(group, labels))
    return "<!DOCTYPE html><meta charset=\"utf-8\"><title>Understudy beside its peers</title><style>%s</style>\n" \
           "<h1>Understudy beside its peers</h1>\n%s\n" % (STYLE, "\n".join(body))


def picture(parts, path):
    """Ratios to the best peer with their targets as marks; False where matplotlib is not installed."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot
    bars = []
    for part, rows in parts.items():
        for row in rows:
            ratio = figures.ratio(figures.medians(row["samples"]), row["better"])
            if ratio is not None and row["better"] == "less":
                bars.append(("%s: %s, %s" % (part, row["measure"], row["figure"]), ratio,
                             [at_most for against, at_most, _, _ in figures.judged(part, row) if against == "best"]))
    if not bars:
        return False
    bars.reverse()
    chart, axes = pyplot.subplots(figsize=(12, 1 + 0.2 * len(bars)))
    axes.barh([name for name, _, _ in bars], [ratio for _, ratio, _ in bars], color="#c0392b", height=0.6)
    for index, (_, _, marks) in enumerate(bars):
        axes.plot(marks, [index] * len(marks), "k|", markersize=8)
    axes.axvline(1, color="#999999", linewidth=0.8)
    axes.set_xlabel("ours / best peer (| is the target)")
    axes.tick_params(labelsize=7)
    axes.margins(y=0.01)
    axes.set_xlim(0, min(max(ratio for _, ratio, _ in bars) * 1.05, LONGEST_RATIO))
    chart.tight_layout()
    chart.savefig(path, dpi=120)
    return True


def write(directory, names):
    """Prints the tables of all parts that have results, and writes the page and the picture."""
    parts = {name: results.newest_rows(results.load(directory, name)) for name in names}
    parts = {name: rows for name, rows in parts.items() if rows}
    if not parts:
        raise SystemExit("bench: no results in %s" % directory)
    judged = []
    for part, rows in parts.items():
        for line in markdown(part, rows):
            print(line)
        for run in runs_of(rows):
            print(told_of_run(run))
        print()
        judged += [passes for row in rows if "error" not in row for _, _, _, passes in figures.judged(part, row)]
    print("%d of %d targets are met" % (sum(judged), len(judged)))
    path = os.path.join(directory, "report.html")
    with open(path, "w") as file:
        file.write(page(parts))
    print("charts: " + path)
    image = os.path.join(directory, "report.png")
    print("picture: " + image if picture(parts, image) else "no picture: matplotlib is not installed or there is nothing to compare")
