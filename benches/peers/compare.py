"""Measures spadework beside other frameworks on this machine, and writes the ratios as a table of Markdown.

Every pair is one run of each program, one right after the other, so that what else the machine does slows both alike; a
ratio is the median over the pairs. PyTorch counts with the faster of its variants in each pair.

    cargo build --release
    (cd benches/peers/burn && cargo build --release)
    python benches/peers/compare.py --torch-python VENV/bin/python --maps DIR

README.md beside this file says what to install. What is not there is left out of the table.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PARTS = {
    "inference": "Inference",
    "iteration": "Training",
    "conv": "Convolution",
    "alone": "Without a peer",
    "floors": "Floors",
}
ON_CPU = {"NCHW": [], "channels last": ["--channels-last"]}
ON_CUDA = {
    "f32": [],
    "TF32": ["--tf32"],
    "TF32, channels last": ["--tf32", "--channels-last"],
    "autocast": ["--tf32", "--channels-last", "--autocast"],
    "autocast, compiled": ["--tf32", "--channels-last", "--autocast", "--compile"],
}


def options():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--spadework", default=str(ROOT / "target/release/spadework"))
    parser.add_argument("--burn", default=str(HERE / "burn/target/release/burn-peer"))
    parser.add_argument("--torch-python", default=sys.executable, help="Python with PyTorch")
    parser.add_argument("--maps", metavar="DIR", help="folder of label maps [default: built-in landscapes, and blank ones]")
    parser.add_argument("--device", default="cpu", help="PyTorch's: cpu or cuda")
    parser.add_argument("--adapter", help="spadework's")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--width", type=int, default=64, help="ngf")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each program in a pair")
    parser.add_argument("--only", nargs="*", choices=PARTS, metavar="PART", help="measure these alone, and keep what RESULTS.json has of the others: " + ", ".join(PARTS))
    parser.add_argument("--out", default=str(HERE / "RESULTS.md"))
    return parser.parse_args()


def ran(command):
    """The lines of JSON a program prints; none if it is not there or fails, which is told."""
    command = [str(part) for part in command]
    print("  " + " ".join(command), file=sys.stderr, flush=True)
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        print(f"left out: {error}", file=sys.stderr)
        return None
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        print(f"left out: {command[0]} ended with {done.returncode}: {last[0]}", file=sys.stderr)
        return None
    return done.stdout


class Comparison:
    def __init__(self, args):
        self.args = args
        self.machine = None
        self.torch_program = None
        self.loads = []
        self.measured = {}

    def spadework(self, *command):
        command = [self.args.spadework, "bench", *command, "--json", "--seconds", self.args.seconds]
        if self.args.adapter:
            command += ["--adapter", self.args.adapter]
        out = ran(command)
        if out is None:
            return None
        told = json.loads(out)
        self.machine = told["machine"] if told["machine"]["adapter"] else self.machine
        return told["result"]

    def network(self):
        network = ["--preset", "paper-256", "--crop-size", self.args.size, "--ngf", self.args.width]
        return network + (["--maps", self.args.maps] if self.args.maps else [])

    def torch(self, mode, variant, *more):
        args = self.args
        command = [args.torch_python, HERE / "torch_peer.py", mode, "--size", args.size, "--width", args.width]
        command += ["--seconds", args.seconds, "--device", args.device, *variant, *more]
        out = ran(command + (["--maps", args.maps] if args.maps else []))
        if out is None:
            return None
        told = json.loads(out)
        self.torch_program = f"{told['program']} on {told['device']}, {told['threads']} threads"
        return told

    def pairs(self, ours, theirs):
        """Runs programs in turns; a pair is ours and all variants of theirs."""
        pairs = []
        for _ in range(self.args.pairs):
            self.loads.append(os.getloadavg()[0])
            pair = {name: run() for name, run in theirs.items()}
            pair = {name: told for name, told in pair.items() if told is not None}
            own = ours()
            if own is None or not pair:
                break
            pairs.append((own, pair))
        return pairs

    def of_torch(self, mode, more=()):
        variants = ON_CPU if self.args.device == "cpu" else ON_CUDA
        return {name: (lambda v=v: self.torch(mode, v, *more)) for name, v in variants.items()}


def ratio(pairs, own, their):
    """Median over pairs of our value by the smallest of theirs."""
    values = [own(ours) / min(their(told) for told in theirs.values()) for ours, theirs in pairs]
    return statistics.median(values)


def named(what):
    """The median time of a kind of picture."""
    return lambda report: next(line["median_ms"] for line in report["lines"] if line["what"] == what)


def median_of(pairs, value):
    return statistics.median(value(pair) for pair in pairs)


def fastest(pairs):
    """Name and median time of the variant of theirs that is fastest by its median."""
    names = set.intersection(*(set(theirs) for _, theirs in pairs))
    times = {name: statistics.median(theirs[name]["median_ms"] for _, theirs in pairs) for name in names}
    return min(times.items(), key=lambda item: item[1])


def row(what, bar, ours, theirs, value):
    """A line of a table; what has no bar is told alone."""
    if bar is None:
        return [what, ours, theirs, f"{value:.2f}", "", ""]
    met = "yes" if value <= bar else "**no**"
    return [what, ours, theirs, f"{value:.2f}", f"{bar:.2f}", met]


def inference(comparison):
    ours = lambda: comparison.spadework("synth", "--way", "plain,kept", *comparison.network())
    pairs = comparison.pairs(ours, comparison.of_torch("inference"))
    if not pairs:
        return [], []
    name, theirs = fastest(pairs)
    comparison.measured["a picture"] = median_of(pairs, lambda pair: named("plain plan")(pair[0]))
    rows = []
    kinds = [
        ("inference, real maps, plain plan", "plain plan", 1.0),
        ("inference, a new layout, tables kept", "a new layout", 1.0),
        ("inference, layout kept", "the same layout", 0.7),
        ("inference, after a stroke", "a stroke", None),
    ]
    for what, kind, bar in kinds:
        own = median_of(pairs, lambda pair: named(kind)(pair[0]))
        value = ratio(pairs, named(kind), lambda told: told["median_ms"])
        rows.append(row(what, bar, f"{own / 1e3:.2f} s", f"{theirs / 1e3:.2f} s ({name})", value))
    return rows, variants_text("inference", pairs)


def iteration(comparison):
    ours = lambda: comparison.spadework("train", "--memory", *comparison.network())
    pairs = comparison.pairs(ours, comparison.of_torch("iteration"))
    if not pairs:
        return [], []
    name, theirs = fastest(pairs)
    own = median_of(pairs, lambda pair: pair[0][0]["median_ms"])
    comparison.measured["an iteration of training"] = own
    value = ratio(pairs, lambda told: told[0]["median_ms"], lambda told: told["median_ms"])
    rows = [row("training iteration", 1.0, f"{own / 1e3:.2f} s", f"{theirs / 1e3:.2f} s ({name})", value)]
    on_cuda = comparison.args.device != "cpu"
    key = "device_peak_bytes" if on_cuda else "peak_bytes"
    own_key = "device_bytes" if on_cuda else "peak_bytes"
    own = median_of(pairs, lambda pair: pair[0][0][own_key])
    least = median_of(pairs, lambda pair: min(told[key] for told in pair[1].values()))
    value = ratio(pairs, lambda told: told[0][own_key], lambda told: told[key])
    what = "its memory on the device" if on_cuda else "its peak memory, whole process"
    rows.append(row(what, 0.35, f"{own / 2**30:.2f} GiB", f"{least / 2**30:.2f} GiB", value))
    ours, theirs = pairs[0]
    counts = [ours[0]["parameters"], next(iter(theirs.values()))["parameters"]]
    same = "the same" if counts[0] == counts[1] else f"**not** the same: {counts[1]}"
    text = [f"Numbers learned by generator and discriminator: {counts[0]}, in PyTorch {same}.", ""]
    return rows, text + variants_text("iteration", pairs)


def variants_text(mode, pairs):
    names = sorted(set().union(*(theirs for _, theirs in pairs)))
    medians = []
    for name in names:
        times = [theirs[name]["median_ms"] for _, theirs in pairs if name in theirs]
        medians.append(f"{name} {statistics.median(times) / 1e3:.2f} s")
    return [f"PyTorch, {mode}: " + ", ".join(medians) + ".", ""]


def conv(comparison):
    args = comparison.args
    seconds = str(max(args.seconds / 4, 1.0))

    def burn():
        out = ran([args.burn, seconds])
        return None if out is None else [json.loads(line) for line in out.splitlines()]

    ours = lambda: comparison.spadework("kernels", "conv2d", "--of", "layers")
    pairs = comparison.pairs(ours, {"burn": burn})
    if not pairs:
        return [], []
    layers = range(len(pairs[0][0]))

    def gain(pair, layer):
        return pair[1]["burn"][layer]["median_ms"] / pair[0][layer]["median_ms"]

    means = [math.prod(gain(pair, layer) for layer in layers) ** (1 / len(layers)) for pair in pairs]
    value = statistics.median(means)
    met = "yes" if value >= 20 else "**no**"
    rows = [["3x3 convolution against burn, mean of four layers", "", "", f"{value:.1f} x faster", "20", met]]
    share = max(median_of(pairs, lambda pair: pair[0][layer]["of_arithmetic"]) for layer in layers)
    # Winograd's convolutions count as direct ones here, so this says nothing of the products inside.
    rows.append(["share of the adapter's multiply-adds, counted as direct, best of these", f"{share:.0f} %", "", "", "", ""])
    text = [
        "| convolution, 3x3 | spadework, ms | GFLOP/s | % of the adapter's | burn, ms | times faster |",
        "|---|---|---|---|---|---|",
    ]
    for layer in layers:
        own = [pair[0][layer] for pair in pairs]
        their = [pair[1]["burn"][layer] for pair in pairs]
        middle = lambda lines, key: statistics.median(line[key] for line in lines)
        text.append(
            f"| {their[0]['cin']} to {their[0]['cout']} channels at {their[0]['side']} pixels "
            f"| {middle(own, 'median_ms'):.2f} | {middle(own, 'gflop_per_s'):.1f} | {middle(own, 'of_arithmetic'):.0f} "
            f"| {middle(their, 'median_ms'):.1f} | {statistics.median(gain(pair, layer) for pair in pairs):.1f} |"
        )
    return rows, text + [""]


def alone(comparison):
    """What has a bar and no peer."""
    reports = [comparison.spadework("windows", *comparison.network()) for _ in range(comparison.args.pairs)]
    if None in reports:
        return [], []
    value = statistics.median(report["ms_per_65536_pixels"] for report in reports)
    met = "yes" if value < 10 else "**no**"
    rows = [["window tables of a 256x256 sample, all levels, one core", f"{value:.1f} ms", "", "", "10 ms", met]]
    starts = [comparison.spadework("start", "--preset", "small") for _ in range(comparison.args.pairs)]
    if None in starts:
        return rows, []
    value = statistics.median(report["first_picture_ms"] for report in starts) / 1e3
    met = "yes" if value < 2 else "**no**"
    what = "first picture from opening the adapter, preset small, driver cache warm"
    return rows + [[what, f"{value:.2f} s", "", "", "2 s", met]], []


def floors(comparison):
    """The least time there is by operations and bytes, beside what was measured."""
    report = comparison.spadework("floor", *comparison.network())
    if report is None:
        return [], []
    lines = [
        "| floor | operations | bytes | adapter | arithmetic | memory | both | measured | times the floor |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    here = report["cards"][0]
    for line in report["lines"]:
        for floor in line["floors"]:
            measured = comparison.measured.get(line["what"]) if floor["card"] == here["name"] else None
            gap = [f"{measured:.0f} ms", f"{measured / floor['both_ms']:.2f}"] if measured else ["", ""]
            times = [f"{floor[key]:.4g} ms" for key in ("arithmetic_ms", "memory_ms", "both_ms")]
            work = [f"{line['flops'] / 1e9:.1f} GFLOP", f"{line['bytes'] / 1e9:.2f} GB"]
            lines.append("| " + " | ".join([line["what"], *work, floor["card"], *times, *gap]) + " |")
    rates = f"{here['gflop_per_s']:.1f} GFLOP/s of multiply-adds and {here['gb_per_s']:.1f} GB/s of copies"
    return [], [f"Measured on {here['name']}: {rates}.", ""] + lines + [""]


def told_of(comparison, rows, texts):
    """What is kept of a part: its rows, what else there is to say, and under which circumstances it was measured."""
    args, machine = comparison.args, comparison.machine
    adapter, memory = machine["adapter"], machine["memory_bytes"]
    maps = "label maps of a folder" if args.maps else "built-in landscapes, PyTorch with blank ones"
    load = f", load when they began {min(comparison.loads):.1f} to {max(comparison.loads):.1f}" if comparison.loads else ""
    return {
        "rows": rows,
        "texts": texts,
        "measured": comparison.measured,
        "machine": [
            machine["program"],
            f"adapter: {adapter['name']}, {adapter['kind']} through {adapter['backend']}, driver {adapter['driver']}; "
            f"kernels: {adapter['kernels']}",
            f"machine: {machine['processor']}, {machine['cores']} cores, "
            + (f"{memory / 2**30:.0f} GiB, " if memory else "")
            + machine["system"],
            comparison.torch_program or "",
            f"network: that of ADE20K, ngf {args.width}, {args.size}x{args.size}, batch 1; {maps}",
            f"{args.pairs} pairs, {args.seconds:g} s of each program{load}",
        ],
    }


def page(parts):
    """The parts as Markdown, with circumstances told once where they were the same."""
    lines = ["# spadework beside other frameworks", "", "Written by `benches/peers/compare.py`; do not edit.", ""]
    heads = ["| what | spadework | peer | ratio | bar | met |", "|---|---|---|---|---|---|"]
    before = None
    for name, title in PARTS.items():
        if name not in parts:
            continue
        part = parts[name]
        lines += [f"## {title}", ""]
        lines += [f"- {line}" for line in part["machine"] if line and line not in (before or [])]
        before = (before or []) + part["machine"]
        if lines[-1]:
            lines.append("")
        if part["rows"]:
            lines += heads + ["| " + " | ".join(cells) + " |" for cells in part["rows"]] + [""]
        lines += part["texts"]
    return "\n".join(lines).rstrip() + "\n"


def written(path, text):
    partial = path.with_name(path.name + ".part")
    partial.write_text(text)
    partial.rename(path)
    print(f"wrote {path}", file=sys.stderr)


def main():
    args = options()
    out = Path(args.out)
    kept = out.with_suffix(".json")
    parts = json.loads(kept.read_text()) if kept.exists() else {}
    measures = {"conv": conv, "inference": inference, "iteration": iteration, "alone": alone, "floors": floors}
    is_any = False
    for name, measure in measures.items():
        if args.only and name not in args.only:
            continue
        print(name, file=sys.stderr)
        comparison = Comparison(args)
        comparison.measured = {}
        for part in parts.values():
            comparison.measured |= part["measured"]
        rows, texts = measure(comparison)
        if rows or texts:
            is_any = True
            parts[name] = told_of(comparison, rows, texts)
            # After each part: a later one may fail.
            written(kept, json.dumps(parts, indent=1) + "\n")
            written(out, page(parts))
    if not is_any:
        sys.exit("nothing could be compared: see the lines above, and README.md for what to install")


if __name__ == "__main__":
    main()
