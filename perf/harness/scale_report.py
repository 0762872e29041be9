"""Scale's results as people read them, with the goals."""

from .samples import QUIET_CORES

_MIB = 1 << 20
_READY_SECONDS = 5
_RESIDENT_MIB = 400
_P99_MS = 150
_CPU_RATIO = 2


def percentile(values, share):
    """Of a sorted list."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def _ms(nanoseconds):
    return f"{nanoseconds / 1e6:.1f}"


def _table(heads, rows):
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "".join("| " + " | ".join(str(cell) for cell in cells) + " |\n" for cells in lines)


def cpu_line(result):
    return (f"{result.world.services} services, {result.world.instances} instances: CPU time per event "
            f"{result.per_event / 1e3:.0f} µs, {result.keeper / 1e3:.0f} of it for files; idle "
            f"{result.idle / 1e6:.1f} ms a second, resident at most {result.peak / _MIB:.0f} MiB")


def nodes_line(result):
    parts = [f"{len(values)} {name}: p50 {_ms(percentile(values, 0.5))} ms, p99 {_ms(percentile(values, 0.99))} ms, "
             f"max {_ms(values[-1])} ms" for name, values in _kinds(result) if values]
    return (f"{result.nodes} nodes, {result.events} events in {result.seconds:.1f} s: {'; '.join(parts)}; "
            f"{result.late} late; commit {_ms(result.commit)} ms; CPU time per event and node "
            f"{result.cpu / 1e3:.0f} µs; others {result.foreign:.2f} cores")


def _kinds(result):
    return (("puts", result.puts), ("deletes", result.deletes))


def _goals(results):
    if cold := results.get("cold"):
        yield ("cold start to ready", f"≤ {_READY_SECONDS} s", f"{max(start.ready for start in cold):.2f} s",
               all(start.ready <= _READY_SECONDS for start in cold))
    peaks = [start.peak for start in results.get("cold", [])] + [run.peak for run in results.get("cpu", [])]
    if "nodes" in results:
        peaks.append(results["nodes"].resident)
    if peaks:
        yield ("resident memory, the most of any process at any time", f"≤ {_RESIDENT_MIB} MiB",
               f"{max(peaks) / _MIB:.0f} MiB", max(peaks) <= _RESIDENT_MIB * _MIB)
    if nodes := results.get("nodes"):
        worst = max(percentile(values, 0.99) for _, values in _kinds(nodes) if values)
        yield (f"put or delete to first connection routed by it, p99, {nodes.nodes} nodes", f"< {_P99_MS} ms",
               f"{_ms(worst)} ms", worst < _P99_MS * 1e6 and nodes.late == 0)
    if cpu := results.get("cpu"):
        ratio = cpu[0].per_event / cpu[1].per_event
        yield (f"CPU time per event, {cpu[0].world.instances:,} instances to {cpu[1].world.instances:,}",
               f"≤ {_CPU_RATIO:.2f} ×", f"{ratio:.2f} ×", ratio <= _CPU_RATIO)


def _cold(found):
    rows = [(name, f"{start.ready:.2f}", f"{start.cpu:.2f}", f"{start.etcd_cpu:.2f}", f"{start.resident / _MIB:.0f}",
             f"{start.peak / _MIB:.0f}", f"{start.agreed:.1f}")
            for name, start in zip(["no VIP agreed yet"] + ["VIPs agreed"] * (len(found) - 1), found)]
    heads = ("start", "ready after s", "CPU time s", "etcd's s", "resident MiB", "at most MiB",
             "all VIPs agreed after s")
    return f"## Cold start\n\n{_table(heads, rows)}{_noise(max(start.foreign for start in found))}\n"


def _cpu(found):
    rows = [(f"{run.world.services:,}", f"{run.world.instances:,}", run.events, f"{run.per_event / 1e3:.0f}",
             f"{run.keeper / 1e3:.0f}", f"{found[0].per_event / run.per_event:.2f}", f"{run.idle / 1e6:.1f}",
             f"{run.peak / _MIB:.0f}") for run in found]
    heads = ("services", "instances", "events", "CPU µs / event", "of it for files", "the first in this one's",
             "idle ms / s", "at most MiB")
    return f"## CPU time per event\n\n{_table(heads, rows)}\n"


def _nodes(result):
    rows = [(name, len(values), *(_ms(percentile(values, share)) for share in (0.5, 0.9, 0.99)), _ms(values[-1]))
            for name, values in _kinds(result) if values]
    text = f"## {result.nodes} nodes, {result.events / result.seconds:.0f} events a second\n\n"
    text += _table(("change", "measured", "p50 ms", "p90 ms", "p99 ms", "most ms"), rows)
    text += (f"\netcd took a change after {_ms(result.commit)} ms (median), which is part of the above. CPU time per "
             f"event: {result.cpu / 1e3:.0f} µs on each node, {result.etcd_cpu / 1e3:.0f} µs in etcd for all nodes. "
             f"{result.late} changes were never routed by.\n")
    return text + _noise(result.foreign)


def _noise(cores):
    if cores <= QUIET_CORES:
        return ""
    return f"\nThe machine was not quiet: other programs took {cores:.0%} of a core. Repeat this on a quiet machine.\n"


def document(results, facts):
    """The whole RESULTS-SCALE.md. `facts` are (name, value) pairs."""
    text = "# Results: scale\n\nWritten by `perf/run --scale`; `README.md` says what is measured and how, "
    text += "`../docs/scale.md` what follows from it.\n\n"
    text += "".join(f"- {name}: {value}\n" for name, value in facts) + "\n"
    rows = [(what, goal, measured, "yes" if met else "no") for what, goal, measured, met in _goals(results)]
    text += f"## Goals\n\n{_table(('measure', 'goal', 'measured', 'goal met'), rows)}\n"
    for part, write in (("cold", _cold), ("cpu", _cpu), ("nodes", _nodes)):
        if part in results:
            text += write(results[part])
    return text.rstrip() + "\n"
