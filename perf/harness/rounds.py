"""Runs a scenario: starts the proxies side by side, loads each in turn, round after round."""

import sys

from . import arrangement, idle, proctree
from .errors import HarnessError
from .samples import Sample, quiet

_WARM_SECONDS = 0.4
_GIB = 1 << 30


def run(scenario, supervisor, peers, instances, settings, say):
    """Measures the peers in rounds; returns their samples by name, one list entry per round."""
    if scenario.kind == "idle":
        return _run_idle(scenario, supervisor, peers, instances, settings, say)
    return _run_load(scenario, supervisor, peers, instances, settings, say)


def _able(scenario, peers, wanted):
    """The peers that can serve the layout; says who cannot, and why."""
    for peer in peers:
        if reason := peer.missing(wanted):
            print(f"{scenario.name}: without {peer.name}: {reason}", file=sys.stderr)
    able = [peer for peer in peers if not peer.missing(wanted)]
    if not able:
        raise HarnessError("none of the chosen peers can serve it")
    return able


def _rotated(peers, round_number):
    shift = round_number % len(peers)
    return peers[shift:] + peers[:shift]


def _run_load(scenario, supervisor, peers, instances, settings, say):
    arranged = arrangement.Arrangement(scenario, supervisor, instances)
    proxies = [peer.start(supervisor, arranged.layout) for peer in _able(scenario, peers, arranged.layout)]
    for proxy in proxies:
        arranged.check(proxy)
        arranged.load.run(supervisor, proxy, min(_WARM_SECONDS, settings.seconds))
    rounds = []
    while _more_needed(rounds, settings):
        order = _rotated(proxies, len(rounds))
        rounds.append({proxy.name: _measure(supervisor, proxy, arranged, settings.seconds, scenario.bulk)
                       for proxy in order})
        say(scenario, len(rounds), rounds[-1])
    for proxy in proxies:
        proxy.stop(supervisor)
    arranged.stop()
    best = sorted(rounds, key=_disturbance)[:settings.rounds]
    return {proxy.name: [samples[proxy.name] for samples in best] for proxy in proxies}


def _more_needed(rounds, settings):
    undisturbed = sum(_quiet(samples) for samples in rounds)
    return undisturbed < settings.rounds and len(rounds) < settings.rounds + settings.spare_rounds


def _quiet(samples):
    return all(quiet(sample) for sample in samples.values())


def _disturbance(samples):
    """Rounds are chosen by what other programs took, never by what the proxies needed."""
    return max(sample.foreign_cores for sample in samples.values())


def _measure(supervisor, proxy, arranged, seconds, bulk):
    instances = arranged.origins
    proxy_before, origin_before = proxy.cpu_nanoseconds(), instances.cpu_nanoseconds()
    busy_before = proctree.machine_busy_nanoseconds()
    outcome = arranged.load.run(supervisor, proxy, seconds)
    busy = proctree.machine_busy_nanoseconds() - busy_before
    proxy_time = proxy.cpu_nanoseconds() - proxy_before
    machine_time = proxy_time + instances.cpu_nanoseconds() - origin_before + outcome.cpu_nanoseconds
    own = proxy.process is not None
    return Sample(
        cpu_per_request=proxy_time / 1e3 / outcome.requests if own else None,
        cpu_per_gib=proxy_time / 1e9 / (outcome.bytes / _GIB) if own and bulk else None,
        busy_cores=proxy_time / 1e9 / outcome.seconds if own else None,
        rate=outcome.requests / outcome.seconds,
        p50=outcome.p50,
        p99=outcome.p99,
        rss=proxy.resident_bytes() if own else None,
        machine_per_request=machine_time / 1e3 / outcome.requests,
        foreign_cores=max(0, busy - machine_time) / 1e9 / outcome.seconds,
    )


def _run_idle(scenario, supervisor, peers, instances, settings, say):
    proxies = [peer for peer in peers if peer.has_process]
    count = idle.connection_count(scenario.mode, min(scenario.idle_connections, settings.idle_limit))
    holders = idle.TCPOrigins(supervisor) if scenario.mode == "tcp" else None
    wanted = arrangement.Arrangement(scenario, supervisor, holders or instances).layout
    samples = {peer.name: [] for peer in proxies}
    for number in range(settings.rounds):
        for peer in _rotated(proxies, number):
            samples[peer.name].append(idle.measure(supervisor, peer, wanted, count))
        say(scenario, number + 1, {name: values[-1] for name, values in samples.items()})
    if holders:
        holders.stop()
    return samples
