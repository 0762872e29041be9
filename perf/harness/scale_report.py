"""Scale's results as people read them, with the goals."""


def percentile(values, share):
    """Of a sorted list."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else float("nan")


def nodes_line(result):
    parts = [f"{len(values)} {name}: p50 {percentile(values, 0.5) / 1e6:.1f} ms, p99 "
             f"{percentile(values, 0.99) / 1e6:.1f} ms, max {values[-1] / 1e6:.1f} ms"
             for name, values in (("puts", result.puts), ("deletes", result.deletes)) if values]
    return (f"{result.nodes} nodes, {result.events} events in {result.seconds:.1f} s: {'; '.join(parts)}; "
            f"{result.late} late; commit {result.put_to_commit / 1e6:.1f} ms; CPU time per event and node "
            f"{result.cpu / 1e3:.0f} µs; resident at most {result.resident >> 20} MiB")
