"""Turns samples into the Markdown that people read."""

from . import goals, samples

REFERENCE = "haproxy"
_TIE = 0.15

# Heading, field, unit's divisor, decimals, whether a ratio to the reference stands beside it.
_LOAD_COLUMNS = (
    ("CPU µs / request", "cpu_per_request", 1, 1, True),
    ("CPU s / GiB", "cpu_per_gib", 1, 2, True),
    ("core busy %", "busy_cores", 0.01, 0, False),
    ("requests / s", "rate", 1, 0, True),
    ("p50 ms", "p50", 1e3, 2, True),
    ("p99 ms", "p99", 1e3, 2, True),
    ("Rss MiB", "rss", 1 << 20, 1, True),
    ("all processes µs / request", "machine_per_request", 1, 1, False),
)
_IDLE_COLUMNS = (
    ("bytes / connection", "bytes_per_connection", 1, 0, True),
    ("Rss before MiB", "rss_before", 1 << 20, 1, False),
    ("Rss after MiB", "rss", 1 << 20, 1, True),
)

_HOW_TO_READ = f"""Each figure is the median of its rounds. `×` is the median of the per-round ratios to
{REFERENCE}, then the smallest and the largest of them. All proxies run in the same rounds, in rotating order; believe
the ratios, not the absolute values, which drift from hour to hour. **Differences under 15 % of one run are ties**, and
`reading` says so; it compares CPU time (memory in the idle scenarios) with {REFERENCE}. `floor` is the loader against
an instance directly, without a proxy. `all processes` adds the loader's and the instances' CPU time to the proxy's.
Where `core busy` is well below 100 %, the loader's core was the limit: throughput then says little about the proxy.
"""


def number(value, divisor, decimals):
    return "–" if value is None else f"{value / divisor:,.{decimals}f}"


def ratio_text(compared):
    if compared is None:
        return "–"
    return f"{compared.median:.2f} ({compared.low:.2f}…{compared.high:.2f})"


def reading(compared):
    """The verdict in a word."""
    if compared is None:
        return "–"
    if abs(compared.median - 1) < _TIE:
        return "tie"
    return "less" if compared.median < 1 else "more"


def table(scenario, results):
    """The Markdown table of one scenario; `results` maps peer names to samples."""
    wanted = _IDLE_COLUMNS if scenario.kind == "idle" else _LOAD_COLUMNS
    columns = [column for column in wanted if any(samples.median(found, column[1]) is not None
                                                  for found in results.values())]
    heads = ["proxy"]
    for heading, _, _, _, compared in columns:
        heads += [heading, "×"] if compared else [heading]
    heads.append("reading")
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 2) + ["---"]]
    lines += [_row(name, found, results.get(REFERENCE), columns) for name, found in results.items()]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in lines)


def _row(name, found, reference, columns):
    cells = [name]
    is_reference = found is reference
    for _, field, divisor, decimals, compared in columns:
        cells.append(number(samples.median(found, field), divisor, decimals))
        if compared:
            ratio = samples.ratio(found, reference, field) if reference else None
            cells.append("1" if is_reference else ratio_text(ratio))
    main = "cpu_per_gib" if any(column[1] == "cpu_per_gib" for column in columns) else columns[0][1]
    return cells + ["–" if is_reference or not reference else reading(samples.ratio(found, reference, main))]


def disturbance(results):
    """A warning where other programs took a noticeable part of the machine while this was measured, else nothing."""
    measured = [sample for found in results.values() for sample in found]
    noisy = [sample.foreign_cores for sample in measured if not samples.quiet(sample)]
    if not noisy:
        return ""
    return (f"\nThe machine was not quiet: in {len(noisy)} of {len(measured)} measurements other programs took more "
            f"than {samples.QUIET_CORES:.0%} of a core, at most {max(noisy):.0%}. Repeat this on a quiet machine.\n")


def goals_table(results):
    """The Markdown table of goals, or nothing where meshd was not measured."""
    verdicts = goals.judge(results)
    if not verdicts:
        return ""
    lines = ["| scenario | measure | goal | measured | goal met |\n| --- | --- | ---: | ---: | --- |\n"]
    for verdict in verdicts:
        goal = verdict.goal
        if goal.absolute:
            cells = (f"≤ {goal.limit:,.0f} bytes", f"{verdict.value:,.0f} ({verdict.low:,.0f}…{verdict.high:,.0f})")
        else:
            other = "" if goal.reference == REFERENCE else f" {goal.reference}"
            measured = f"{verdict.value:.2f} × ({verdict.low:.2f}…{verdict.high:.2f})"
            cells = (f"≤ {goal.limit:.2f} ×{other}", measured)
        measure = goal.field.replace("_", " ").replace("cpu", "CPU").replace("gib", "GiB")
        lines.append(f"| {goal.scenario} | {measure} | {cells[0]} | {cells[1]} | {'yes' if verdict.met else 'no'} |\n")
    return "".join(lines)


def document(scenarios, results, facts):
    """The whole RESULTS.md. `facts` are (name, value) pairs: machine, versions, date, settings."""
    text = "# Results\n\nWritten by `perf/run`; `README.md` says what is measured and how.\n\n"
    text += "".join(f"- {name}: {value}\n" for name, value in facts) + f"\n{_HOW_TO_READ}\n"
    if goals_text := goals_table(results):
        text += f"## Goals\n\n{goals_text}\n"
    for scenario in scenarios:
        if scenario.name in results:
            text += f"## {scenario.name}\n\n{scenario.title}.\n\n{table(scenario, results[scenario.name])}"
            text += disturbance(results[scenario.name]) + "\n"
    return text.rstrip() + "\n"
