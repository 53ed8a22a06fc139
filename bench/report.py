"""benchmarks.json → benchmarks.md and benchmarks.png. Every figure comes from the results."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.cases import AHEAD, AHEADS, CASES
from reporting.provenance import footer
from reporting.results import read

Result = dict[str, Any]
COLORS = {"ours": "#2563eb", "plain": "#9ca3af", "limit": "#16a34a", "singer": "#d97706"}
NAMES = {
    "ours": "this project",
    "plain": "plain dlt script",
    "limit": "hand-written limit",
    "singer": "Singer",
}
# figure → heading, format
COLUMNS: dict[str, tuple[str, str]] = {
    "cpu": ("CPU s", ".2f"),
    "wall": ("wall s", ".2f"),
    "run_wall": ("wall beyond imports s", ".2f"),
    "rss": ("peak RSS MB", ",.0f"),
    "requests": ("requests", ",.0f"),
    "in_flight": ("most in flight", ",.0f"),
}
INTRO = """\
# Benchmarks

Written by `make bench`; nothing here is typed by hand. What a sync costs, measured against

- **plain**: the plain dlt script of the default configuration, with dlt's defaults;
- **limit**: a hand-written loop for this one API and table: concurrent fetches, orjson, pyarrow,
  one MERGE ([bench/peers/limit.py](../bench/peers/limit.py));
- **singer**: tap-rest-api-msdk → target-duckdb, where installed (its timestamps stay text).

![CPU of full loads, and wall time over pages fetched ahead](benchmarks.png)
"""
METHOD = f"""\
## How it is measured

- Each figure is the median of a peer's runs, with least and most in brackets. The peers of a case
  take turns in one run of the benchmark, and each round begins with another one.
- A run is a fresh process on a fresh DuckDB file. CPU is user and system time of the process and
  its children, imports included; peak RSS is that of its largest process, in 10^6 bytes.
  "Beyond imports" leaves out what is imported before the sync starts.
- After each run the table is compared with the API's formula: count, distinct ids, a checksum of
  id, status and updated_at. A run whose table differs is a failure, not a figure.
- A load of 1,000,000 takes plain about nine minutes and is measured once, unless asked otherwise.
- A run of 100 incidents comes first and is not measured, so bytecode is compiled.
- The API is a process of its own on loopback with prerendered pages of 100 incidents of 11 fields;
  its CPU is nobody's. It counts requests, and at a time those that it has received and not
  answered: without a latency it answers almost before the next arrives.
- Where a case does not say K, limit has {AHEAD} requests in flight, and ours its default.
- Where a table of 1,000,000 is continued, ours and limit loaded it themselves; plain loaded 100
  incidents, and SQL multiplied its rows.
"""


@dataclass(frozen=True)
class Target:
    """What is to be reached: a figure of ours below a bound, as such or as multiple of another's.

    Attributes:
        case: The case's name.
        figure: Of `COLUMNS`.
        bound: At most this.
        against: The label of the other one; none for a plain figure.
        label: Ours.
    """

    case: str
    figure: str
    bound: float
    against: str | None = None
    label: str = "ours"

    def reached(self, cases: dict[str, Result]) -> float | None:
        """The value; None where something of it was not measured."""
        own = middle(cases.get(self.case), self.label, self.figure)
        if not self.against:
            return own
        other = middle(cases.get(self.case), self.against, self.figure)
        return own / other if own is not None and other else None


TARGETS = (
    Target("full-100k", "cpu", 0.10, "plain"),
    Target("full-100k", "cpu", 2.5, "limit"),
    Target("full-100k", "rss", 300),
    Target("full-1m", "cpu", 0.08, "plain"),
    Target("full-1m", "cpu", 2.5, "limit"),
    Target("full-1m", "rss", 700),
    Target("latency", "wall", 0.15, "plain", "ours K=8"),
    Target("latency", "wall", 1.5, "limit K=8", "ours K=8"),
    Target("latency", "rss", 320, None, "ours K=8"),
    Target("no-change", "requests", 1),
    Target("no-change", "run_wall", 0.5),
    Target("no-change", "rss", 200),
    Target("dagster-100", "cpu", 1.5, "plain"),
)


def values(result: Result | None, label: str, figure: str) -> list[float]:
    """A figure of each run."""
    runs = result["runs"].get(label, []) if result else []
    return [run[figure] for run in runs if figure in run]


def middle(result: Result | None, label: str, figure: str) -> float | None:
    """The median of a figure; None where it was not measured."""
    found = values(result, label, figure)
    return median(found) if found else None


def table(headings: list[str], rows: list[list[str]]) -> Iterator[str]:
    """A Markdown table, its first column to the left."""
    yield f"| {' | '.join(headings)} |"
    yield "|---|" + "---:|" * (len(headings) - 1)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def case_lines(result: Result) -> Iterator[str]:
    """A case: its table, and what the server had to do with it."""
    labels = list(result["runs"])
    at_latency = any("K=" in label for label in labels)
    compared = "wall" if at_latency else "cpu"
    columns = [name for name in COLUMNS if any(values(result, label, name) for label in labels)]
    yield f"## {result['title']}\n"
    rows = []
    for label in labels:
        row = [label]
        for name in columns:
            found = values(result, label, name)
            form = COLUMNS[name][1]
            spread = min(found, default=0) != max(found, default=0)
            sides = f" ({min(found):{form}} to {max(found):{form}})" if spread else ""
            row.append(f"{median(found):{form}}{sides}" if found else "")
        for other in ("plain", "limit"):
            own = middle(result, label, compared)
            same = f"limit {label.split(' ')[-1]}" if other == "limit" and at_latency else other
            base = middle(result, same, compared)
            row.append(f"{own / base:.2f}" if own and base else "")
        rows.append([*row, str(len(result["runs"][label]))])
    kind = COLUMNS[compared][0].removesuffix(" s")
    ratios = [f"{kind} ÷ plain", f"{kind} ÷ limit" + (" at the same K" if at_latency else "")]
    yield from table(["", *(COLUMNS[c][0] for c in columns), *ratios, "runs"], rows)
    yield ""
    for label, why in result["absent"].items():
        yield f"{label}: {why}.\n"
    rates = result["server_pages_per_s"]
    walls = {label: wall for label in labels if (wall := middle(result, label, "wall"))}
    if rates and walls:
        fastest = min(walls, key=lambda label: walls[label])
        seconds = result["pages"] / median(rates)
        busy = middle(result, fastest, "server_cpu") or 0
        yield (
            f"The server alone answers {median(rates):,.0f} pages/s ({min(rates):,.0f} to "
            f"{max(rates):,.0f}) on one connection: {seconds:.2f} s for all pages, "
            f"{seconds / walls[fastest]:.0%} of the fastest peer's wall ({fastest}), in which the "
            f"server itself used {busy:.2f} s of CPU.\n"
        )
    yield footer(result, result["command"]) + "\n"


def target_lines(cases: dict[str, Result]) -> Iterator[str]:
    """The targets, and which are met."""
    rows = []
    for target in TARGETS:
        heading, form = COLUMNS[target.figure]
        what = f"{target.label}: {heading}"
        if target.against:
            what, form = f"{target.label}: {heading.removesuffix(' s')} ÷ {target.against}", ".3f"
        title = next(case.title for case in CASES if case.name == target.case)
        value = target.reached(cases)
        bound = f"≤ {target.bound:g}"
        rows.append([f"{title}, {what}", bound, *verdict(value, target.bound, form)])
    growth = {}
    for label in ("ours", "limit"):
        small, large = (middle(cases.get(c), label, "rss") for c in ("full-100k", "full-1m"))
        growth[label] = large - small if small is not None and large is not None else None
    most, own = growth["limit"], growth["ours"]
    bound = "≤ limit's" if most is None else f"≤ {most:,.0f} (limit's)"
    reached = verdict(own if most is not None else None, most or 0, ",.0f")
    rows.append(["Peak RSS MB more at 1,000,000 than at 100,000", bound, *reached])
    yield "## Targets\n"
    yield from table(["", "target", "reached", ""], rows)
    yield ""


def verdict(value: float | None, bound: float, form: str) -> list[str]:
    """What was reached, and whether that meets the target."""
    if value is None:
        return ["not measured", ""]
    return [f"{value:{form}}", "met" if value <= bound else "**not met**"]


def plot(cases: dict[str, Result], file: Path) -> None:
    """CPU of full loads as bars, wall over K as lines."""
    import matplotlib as mpl  # noqa: PLC0415  a second that only the report needs

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False})
    figure, (bars, lines) = plt.subplots(1, 2, figsize=(12, 4.6), width_ratios=(3, 2))
    full = [name for name in cases if name.startswith("full-")]
    width = 0.8 / len(NAMES)
    for place, (side, name) in enumerate(NAMES.items()):
        heights = [middle(cases[case], side, "cpu") for case in full]
        where = [n + (place - (len(NAMES) - 1) / 2) * width for n in range(len(full))]
        drawn = [(x, height) for x, height in zip(where, heights, strict=True) if height]
        if drawn:
            bars.bar(*zip(*drawn, strict=True), width * 0.92, label=name, color=COLORS[side])
        for x, height in drawn:
            bars.text(x, height * 1.06, f"{height:.3g}", ha="center", fontsize=9)
    bars.set(yscale="log", ylabel="CPU seconds (log)", title="Full load, no latency")
    bars.margins(y=0.15)
    bars.set_xticks(range(len(full)), [cases[c]["title"].split(" of ")[-1] for c in full])
    bars.set_xlabel("incidents")
    if bars.containers:
        bars.legend(frameon=False, loc="upper left")

    latency = cases.get("latency")
    for side in ("ours", "limit"):
        found = [(k, wall) for k in AHEADS if (wall := middle(latency, f"{side} K={k}", "wall"))]
        if found:
            lines.plot(*zip(*found, strict=True), "o-", label=NAMES[side], color=COLORS[side], lw=2)
        for k, wall in found:
            above = side == "ours"
            beside = {"va": "bottom" if above else "top", "ha": "left" if above else "right"}
            lines.text(k, wall, f" {wall:.3g} ", fontsize=9, color=COLORS[side], **beside)
    if plain := middle(latency, "plain", "wall"):
        lines.axhline(plain, color=COLORS["plain"], lw=2, ls="--", label=NAMES["plain"])
        lines.text(AHEADS[-1], plain, f"{plain:.3g}", va="bottom", ha="right", fontsize=9)
    lines.set(xscale="log", yscale="log", xlabel="K, pages fetched ahead")
    lines.set(ylabel="wall seconds (log)", title="100,000 incidents at 50 ms a request")
    lines.set_xticks(AHEADS, AHEADS)
    lines.margins(0.12)
    lines.yaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
    lines.yaxis.set_major_formatter("{x:g}")
    lines.minorticks_off()
    if lines.lines:
        lines.legend(frameon=False)
    for axes in (bars, lines):
        if not axes.has_data():
            axes.text(0.5, 0.5, "not measured", ha="center", transform=axes.transAxes)
    figure.tight_layout()
    figure.savefig(file, dpi=130)
    plt.close(figure)


def write(results: Path, out: Path) -> None:
    """Writes report and plot of the results kept in `results` into `out`."""
    kept = read(results)
    cases = {case.name: kept[case.name] for case in CASES if case.name in kept}
    lines = [INTRO, *target_lines(cases)]
    for result in cases.values():
        lines += case_lines(result)
    (out / "benchmarks.md").write_text("\n".join([*lines, METHOD]))
    plot(cases, out / "benchmarks.png")
