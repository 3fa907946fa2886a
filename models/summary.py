"""Tables and a plot from the metrics.jsonl of training runs (no packages needed).

    python models/summary.py --table NAME=RUN...          a row per run, Markdown, to stdout
    python models/summary.py --plot OUT.svg NAME=RUN...   loss, max/median and attention over steps

RUN is a folder with metrics.jsonl.
"""

import json
import math
import pathlib
import sys

COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999", "#000000",
           "#8c510a", "#5e3c99", "#1b7837", "#b2182b"]


def read(run):
    with open(pathlib.Path(run) / "metrics.jsonl") as lines:
        return [json.loads(line) for line in lines]


def loss_curve(records):
    return [(r["step"], r["loss"]) for r in records if r["kind"] == "eval"]


def monitor_curve(records, of_layers):
    return [(r["step"], of_layers(r["layers"])) for r in records if r["kind"] == "monitor"]


def largest_ratio(layers):
    return max(layer["ratio"] for layer in layers)


def largest_attention(layers, key="first_token_attention"):
    return max(layer[key] for layer in layers)


def table(runs):
    print("| variant | steps | validation loss | largest abs(h) (layer, position, dimension) | "
          "max/median | first-token attention (layer) | slot attention |")
    print("|---|---|---|---|---|---|---|")
    for name, run in runs:
        records = read(run)
        step, loss = loss_curve(records)[-1]
        layers = [r for r in records if r["kind"] == "monitor"][-1]["layers"]
        peak = max(layers, key=lambda layer: layer["ratio"])
        top = peak["top"][0]
        seen = max(layers, key=lambda layer: layer["first_token_attention"])
        print(f"| {name} | {step} | {loss:.3f} | {abs(top['value']):.0f} ({peak['layer']}, "
              f"{top['position']}, {top['dimension']}) | {peak['ratio']:.0f} | "
              f"{seen['first_token_attention']:.2f} ({seen['layer']}) | "
              f"{largest_attention(layers, 'slot_attention'):.2f} |")


def ticks(low, high, count=4):
    """Round numbers that cover low to high, about `count` + 1 of them."""
    power = 10 ** math.floor(math.log10((high - low) / count))
    step = next(m * power for m in (1, 2, 5, 10) if m * power * count >= high - low)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def panel(x, title, curves, width=380, height=260):
    """One SVG plot with its lower left corner of the axes at x + 50."""
    points = [p for _, curve in curves for p in curve]
    right, top = max(p[0] for p in points), max(p[1] for p in points)
    low = min(p[1] for p in points)
    values = ticks(0 if low < top / 3 else low, top)
    bottom, top = values[0], values[-1]
    left, base = x + 50, height + 30

    def place(p):
        return (f"{left + p[0] / right * width:.1f},"
                f"{base - (p[1] - bottom) / (top - bottom) * height:.1f}")

    parts = [f'<text x="{left}" y="20" font-weight="bold">{title}</text>',
             f'<path d="M{left} 30V{base}H{left + width}" fill="none" stroke="#444"/>']
    for value in values:
        y = base - height * (value - bottom) / (top - bottom)
        parts.append(f'<text x="{left - 5}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for step in ticks(0, right):
        if step <= right:
            parts.append(f'<text x="{left + width * step / right:.0f}" y="{base + 16}" '
                         f'text-anchor="middle">{step:g}</text>')
    for i, (_, curve) in enumerate(curves):
        parts.append(f'<polyline points="{" ".join(map(place, curve))}" fill="none" '
                     f'stroke="{COLOURS[i % len(COLOURS)]}" stroke-width="1.5"/>')
    return parts


def plot(out, runs):
    records = [(name, read(run)) for name, run in runs]
    panels = [("validation loss over steps", loss_curve),
              ("largest max/median of any layer", lambda r: monitor_curve(r, largest_ratio)),
              ("largest first-token attention of any layer",
               lambda r: monitor_curve(r, largest_attention))]
    parts = []
    for i, (title, curve) in enumerate(panels):
        parts += panel(i * 460, title, [(name, curve(r)) for name, r in records])
    for i, (name, _) in enumerate(records):
        x, y = 50 + i % 6 * 220, 335 + i // 6 * 18
        parts.append(f'<path d="M{x} {y}h20" stroke="{COLOURS[i % len(COLOURS)]}" '
                     f'stroke-width="2"/><text x="{x + 26}" y="{y + 4}">{name}</text>')
    size = f"{460 * len(panels)} {350 + (len(records) - 1) // 6 * 18}"
    pathlib.Path(out).write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" font-family="sans-serif" '
        f'font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n'
        + "\n".join(parts) + "\n</svg>\n")


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] == "--table":
        table([a.split("=", 1) for a in sys.argv[2:]])
    elif len(sys.argv) > 3 and sys.argv[1] == "--plot":
        plot(sys.argv[2], [a.split("=", 1) for a in sys.argv[3:]])
    else:
        sys.exit(__doc__)
