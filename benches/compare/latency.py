"""Latency at half load: benches/load.rs in short rounds that alternate strictly, each side's rounds merged.

On two cores that others use too, the 99th percentile of one round says more of the neighbours than of the proxy.
So a round is short, each side has many, and a pair of rounds stands side by side in time: what else the machine does
hits both. The ratio is the median of all pairs', with the range in which it lies when pairs are drawn again from those
that were measured. A ratio whose range has 1 in it says that no difference was seen.
"""

import json
import random
import statistics
import subprocess
import sys

QUANTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
CONNECTIONS = 16
DRAWS = 300


def measure(load, core, sides, rate, rounds, seconds):
    """`sides`: name to (address, path, action, file of the body). The histograms of every round, by name, and the names
    of which calls failed."""
    taken, failed = {name: [] for name in sides}, set()
    for number in range(rounds):
        # Who comes first changes from pair to pair.
        order = list(sides) if number % 2 == 0 else list(reversed(sides))
        for name in order:
            address, path, action, body = sides[name]
            command = ["taskset", "-c", core, load, address, path, action, body, f"{rate:.0f}", str(CONNECTIONS), str(seconds)]
            told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout)
            if told["failed"]:
                print(f"{name}, {path}: {told['failed']} of {told['sent']} failed", file=sys.stderr)
                failed.add(name)
            taken[name].append(told["histogram"])
    return taken, failed


def percentile(histograms, share):
    """Of all together, in milliseconds."""
    counts = {}
    for histogram in histograms:
        for edge, count in histogram:
            counts[edge] = counts.get(edge, 0) + count
    left = share * sum(counts.values())
    for edge in sorted(counts):
        left -= counts[edge]
        if left <= 0:
            return edge / 1e6
    return 0.0


def summary(taken, base, rate):
    """Percentiles of each side, and the median over all pairs of rounds of its p99 against the base's."""
    dice = random.Random(1)
    out = {}
    for name, histograms in taken.items():
        row = {key: percentile(histograms, share) for key, share in QUANTILES.items()}
        row["rate"], row["messages"] = rate, sum(count for one in histograms for _, count in one)
        pairs = []
        if name != base:
            pairs = [percentile([a], 0.99) / percentile([b], 0.99) for a, b in zip(histograms, taken[base]) if a and b]
        if pairs:
            draws = sorted(statistics.median(dice.choices(pairs, k=len(pairs))) for _ in range(DRAWS))
            row["p99_ratio"] = statistics.median(pairs)
            row["p99_ratio_range"] = [draws[DRAWS // 20], draws[-DRAWS // 20]]
        out[name] = row
    return out


def table(latencies, label):
    lines = [
        "| row | side | messages/s | p50 / p99 / p99.9 ms | p99 against HAProxy's, pair by pair (nine of ten draws) | messages |",
        "|---|---|---|---|---|---|",
    ]
    for row, sides in latencies.items():
        for name, one in sides.items():
            ratio = ""
            if "p99_ratio" in one:
                low, high = one["p99_ratio_range"]
                ratio = f"{one['p99_ratio']:.2f} ({low:.2f}-{high:.2f})"
            lines.append(f"| {row} | {label(name)} | {one['rate']:,.0f} | {one['p50']:.3f} / {one['p99']:.3f} / {one['p999']:.3f} | {ratio} | {one['messages']:,} |")
    return "\n".join(lines)
