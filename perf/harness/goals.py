"""What meshd must reach; README.md says why."""

import dataclasses

from . import samples


@dataclasses.dataclass(frozen=True)
class Goal:
    """`field` of a Sample must be at most `limit`: a ratio to `reference`, or bytes where `absolute`."""

    scenario: str
    field: str
    limit: float
    absolute: bool = False
    reference: str = "haproxy"


ALL = (
    Goal("keepalive", "cpu_per_request", 0.85),
    Goal("hosts1000", "cpu_per_request", 0.85),
    Goal("newconn", "cpu_per_request", 0.90),
    Goal("tcp-small", "cpu_per_request", 0.95),
    Goal("tcp-conn", "cpu_per_request", 0.95),
    Goal("body1m", "cpu_per_gib", 0.60),
    Goal("tcp-bulk", "cpu_per_gib", 0.60),
    Goal("tls-keepalive", "cpu_per_request", 0.95),
    Goal("tls-full", "cpu_per_request", 0.95),
    Goal("tls-resumed", "cpu_per_request", 0.85),
    Goal("h2-tls", "cpu_per_request", 1.00),
    Goal("h2-clear", "cpu_per_request", 1.00),
    Goal("idle-http", "bytes_per_connection", 600, absolute=True),
    Goal("idle-tcp", "bytes_per_connection", 1536, absolute=True),
    Goal("idle-tls", "bytes_per_connection", 1.00, reference="nginx"),
)


@dataclasses.dataclass(frozen=True)
class Verdict:
    goal: Goal
    value: float
    low: float
    high: float

    @property
    def met(self):
        return self.value <= self.goal.limit


def judge(results, name="meshd"):
    """A verdict for each goal that the results (scenario name → peer name → samples) can answer."""
    verdicts = []
    for goal in ALL:
        found = results.get(goal.scenario, {})
        if name not in found:
            continue
        if goal.absolute:
            values = [getattr(sample, goal.field) for sample in found[name]]
            verdicts.append(Verdict(goal, samples.median(found[name], goal.field), min(values), max(values)))
        elif compared := samples.ratio(found[name], found.get(goal.reference, []), goal.field):
            verdicts.append(Verdict(goal, compared.median, compared.low, compared.high))
    return verdicts
