"""What one measurement gives, and the arithmetic over rounds."""

import dataclasses
import statistics


@dataclasses.dataclass(frozen=True)
class Sample:
    """One peer in one round; a field that a scenario does not measure is None. Bytes, microseconds and seconds.

    `busy_cores` is the proxy's CPU time over the time of the run: below 1 the loader was the limit.
    `foreign_cores` is what other programs (and the hypervisor) took meanwhile, in cores.
    """

    cpu_per_request: float | None = None
    cpu_per_gib: float | None = None
    busy_cores: float | None = None
    rate: float | None = None
    p50: float | None = None
    p99: float | None = None
    rss: float | None = None
    rss_before: float | None = None
    machine_per_request: float | None = None
    bytes_per_connection: float | None = None
    foreign_cores: float | None = None


# More than this of a core spent on other programs makes a measurement hard to believe.
QUIET_CORES = 0.1


def quiet(sample):
    """Whether the proxy had the machine for itself, as far as was measured."""
    return sample.foreign_cores is None or sample.foreign_cores <= QUIET_CORES


def median(samples, field):
    """The median of a field over rounds, or None where it was not measured."""
    values = [value for value in (getattr(sample, field) for sample in samples) if value is not None]
    return statistics.median(values) if values else None


@dataclasses.dataclass(frozen=True)
class Ratio:
    """The median of the per-round ratios, with the smallest and the largest."""

    median: float
    low: float
    high: float


def ratio(samples, reference, field):
    """Each round's value over the reference's of the same round, or None where either is missing or not positive."""
    pairs = zip((getattr(s, field) for s in samples), (getattr(s, field) for s in reference))
    ratios = [mine / theirs for mine, theirs in pairs if mine is not None and theirs and theirs > 0]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios)) if ratios else None
