"""The scenarios: what each loads, how, and what must be true before it is measured."""

import dataclasses
import random

from . import checks, idle, layout, origins, proctree, wrk
from .peers import write_file
from .samples import Sample, quiet

_WARM_SECONDS = 0.4
_WILDCARD_HOSTS = 100
_GIB = 1 << 30


@dataclasses.dataclass(frozen=True)
class Scenario:
    """`kind` is "load" (wrk) or "idle" (held connections); `bulk` also reports CPU time per GiB."""

    name: str
    title: str
    mode: str
    kind: str = "load"
    path: str = "/"
    connections: int = 64
    close: bool = False
    many_hosts: bool = False
    bulk: bool = False
    idle_connections: int = 0


ALL = (
    Scenario("keepalive", "HTTP/1.1 keep-alive, 100-byte bodies, 64 connections", "http"),
    Scenario("newconn", "HTTP/1.1, a new client connection for each request, 64 at a time", "http", close=True),
    Scenario("body1m", "HTTP/1.1 keep-alive, 1 MiB bodies, 16 connections", "http",
             path="/large", connections=16, bulk=True),
    Scenario("hosts1000", "1,000 hosts and a wildcard, another Host in each request, 64 connections", "http",
             many_hosts=True),
    Scenario("tcp-small", "TCP relay, 100-byte answers, 64 connections", "tcp"),
    Scenario("tcp-conn", "TCP relay, a new connection for each request, 64 at a time", "tcp", close=True),
    Scenario("tcp-bulk", "TCP relay, 1 MiB answers, 16 connections", "tcp",
             path="/large", connections=16, bulk=True),
    Scenario("idle-http", "idle HTTP/1.1 client connections after one request each", "http",
             kind="idle", idle_connections=15000),
    Scenario("idle-tcp", "idle relayed TCP pairs after one message each", "tcp",
             kind="idle", idle_connections=7000),
)


@dataclasses.dataclass
class Settings:
    """How long and how often; `spare_rounds` may replace rounds that other programs disturbed."""

    rounds: int
    spare_rounds: int
    seconds: float
    idle_limit: int


def run(scenario, supervisor, peers, instances, settings, say):
    """Measures the peers in rounds; returns their samples by name, one list entry per round."""
    if scenario.kind == "idle":
        return _run_idle(scenario, supervisor, peers, instances, settings, say)
    return _run_load(scenario, supervisor, peers, instances, settings, say)


def _rotated(peers, round_number):
    shift = round_number % len(peers)
    return peers[shift:] + peers[:shift]


def _run_load(scenario, supervisor, peers, instances, settings, say):
    wanted = (layout.thousand_hosts(instances.ports) if scenario.many_hosts
              else layout.single_pool(scenario.mode, instances.ports))
    load = wrk.Load(
        scenario.path, layout.HOST, scenario.connections, scenario.close,
        _hosts_file(supervisor) if scenario.many_hosts else "",
        origins.LARGE_LENGTH if scenario.bulk else origins.SMALL_LENGTH,
    )
    proxies = [peer.start(supervisor, wanted) for peer in peers]
    for proxy in proxies:
        _check(scenario, proxy)
        wrk.run(supervisor, proxy, load, min(_WARM_SECONDS, settings.seconds))
    rounds = []
    while _more_needed(rounds, settings):
        order = _rotated(proxies, len(rounds))
        rounds.append({proxy.name: _measure(supervisor, proxy, load, instances, settings.seconds, scenario.bulk)
                       for proxy in order})
        say(scenario, len(rounds), rounds[-1])
    for proxy in proxies:
        proxy.stop(supervisor)
    best = sorted(rounds, key=_disturbance)[:settings.rounds]
    return {peer.name: [samples[peer.name] for samples in best] for peer in peers}


def _more_needed(rounds, settings):
    undisturbed = sum(_quiet(samples) for samples in rounds)
    return undisturbed < settings.rounds and len(rounds) < settings.rounds + settings.spare_rounds


def _quiet(samples):
    return all(quiet(sample) for sample in samples.values())


def _disturbance(samples):
    """Rounds are chosen by what other programs took, never by what the proxies needed."""
    return max(sample.foreign_cores for sample in samples.values())


def _check(scenario, proxy):
    if scenario.many_hosts:
        checks.check_hosts(proxy)
    else:
        # A relay balances connections, so only new ones reach every instance.
        checks.check_answers(proxy, scenario.path, keep_alive=scenario.mode == "http" and not scenario.close)


def _measure(supervisor, proxy, load, instances, seconds, bulk):
    proxy_before, origin_before = proxy.cpu_nanoseconds(), instances.cpu_nanoseconds()
    busy_before = proctree.machine_busy_nanoseconds()
    outcome = wrk.run(supervisor, proxy, load, seconds)
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


def _hosts_file(supervisor):
    """The Host values in the order they are sent: all exact ones and a tenth as many of the wildcard, mixed."""
    hosts = [layout.exact_host(number) for number in range(layout.HOST_COUNT)]
    hosts += [layout.wildcard_host(number) for number in range(_WILDCARD_HOSTS)]
    random.Random(1).shuffle(hosts)
    return write_file(supervisor.folder("hosts"), "hosts.txt", "".join(host + "\n" for host in hosts))


def _run_idle(scenario, supervisor, peers, instances, settings, say):
    proxies = [peer for peer in peers if peer.has_process]
    count = idle.connection_count(scenario.mode, min(scenario.idle_connections, settings.idle_limit))
    holders = idle.TCPOrigins(supervisor) if scenario.mode == "tcp" else None
    wanted = layout.single_pool(scenario.mode, holders.ports if holders else instances.ports)
    samples = {peer.name: [] for peer in proxies}
    for number in range(settings.rounds):
        for peer in _rotated(proxies, number):
            samples[peer.name].append(idle.measure(supervisor, peer, wanted, count))
        say(scenario, number + 1, {name: values[-1] for name, values in samples.items()})
    if holders:
        holders.stop()
    return samples
