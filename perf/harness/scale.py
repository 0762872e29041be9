"""Measures what a large mesh costs: cold start, memory, CPU time per event, and how soon a change is routed by."""

import dataclasses
import statistics
import subprocess
import sys
import os
import time

from . import proctree, scale_report
from .errors import HarnessError
from .etcd import Etcd
from .processes import LOAD_CORE, PROXY_CORE
from .scale_node import Node
from .scale_world import ROOT, World

_HERE = os.path.dirname(os.path.abspath(__file__))
_BOTH = f"{PROXY_CORE},{LOAD_CORE}"
_MEASURED_EACH = 20  # one change of so many is a canary's
_SETTLE_SECONDS = 60


@dataclasses.dataclass(frozen=True)
class Plan:
    """How large, and how long in seconds."""

    large: World
    small: World
    nodes: int
    rate: int
    cpu_seconds: float
    nodes_seconds: float
    cold_starts: int


FULL = Plan(World(1000, 100_000), World(1000, 1000), nodes=20, rate=100, cpu_seconds=30, nodes_seconds=30,
            cold_starts=2)
CHECK = Plan(World(20, 200), World(20, 20), nodes=2, rate=50, cpu_seconds=1, nodes_seconds=2, cold_starts=1)


PARTS = ("cold", "cpu", "nodes")


def main(supervisor, options):
    """What `perf/run --scale` does; returns the exit code."""
    results = run(supervisor, options.meshd, CHECK if options.check else FULL, options.part or PARTS)
    print(results.keys())
    return 0


def run(supervisor, program, plan, parts):
    """Runs the chosen parts and returns {part: result} for the report."""
    results = {}
    etcd = _filled(supervisor, plan.large)
    if "cold" in parts:
        results["cold"] = _cold(supervisor, program, etcd, plan)
    if "cpu" in parts:
        large = _cpu(supervisor, program, etcd, plan, plan.large)
    if "nodes" in parts:
        results["nodes"] = _nodes(supervisor, program, etcd, plan)
    etcd.stop()
    if "cpu" in parts:
        etcd = _filled(supervisor, plan.small)
        results["cpu"] = (large, _cpu(supervisor, program, etcd, plan, plan.small))
        etcd.stop()
    return results


def _tell(text):
    print(f"scale: {text}", file=sys.stderr, flush=True)


def _filled(supervisor, world):
    etcd = Etcd(supervisor, _BOTH)
    begin = time.monotonic()
    etcd.api.put_all(world.pairs())
    _tell(f"{world.services} services and {world.instances} instances put in {time.monotonic() - begin:.1f} s")
    return etcd


# Cold start


@dataclasses.dataclass(frozen=True)
class Cold:
    """One start; `agreed` is when every service had a VIP, where none had one before."""

    ready: float
    agreed: float
    cpu: float
    resident: int
    peak: int


def _cold(supervisor, program, etcd, plan):
    """The first start finds no VIPs and claims one for each service; the others find them."""
    found = []
    for _ in range(1 + plan.cold_starts):
        node = Node(supervisor, program, etcd, PROXY_CORE)
        ready = node.wait_until_ready()
        cpu, resident = node.cpu_nanoseconds() / 1e9, node.resident_bytes()
        agreed = _wait_for_vips(node, etcd, plan.large, ROOT)
        found.append(Cold(ready, agreed - node.started, cpu, resident, node.peak_bytes()))
        _tell(f"ready in {ready:.2f} s, CPU time {cpu:.2f} s, resident {resident >> 20} MiB, "
              f"at most {found[-1].peak >> 20} MiB; VIPs within {found[-1].agreed:.1f} s")
        node.stop()
    return found


def _wait_for_vips(node, etcd, world, root):
    """When etcd held a VIP for every service; none of the harness's business how."""
    node.process.wait_until(lambda: len(etcd.api.get(f"{root}/vips/services/")) == world.services, "VIPs",
                            timeout=_SETTLE_SECONDS)
    return time.monotonic()


# CPU time per event


@dataclasses.dataclass(frozen=True)
class CPU:
    """Nanoseconds per event, all included: idle work and what is kept on disk."""

    world: World
    events: int
    per_event: float
    idle: float
    resident: int
    peak: int


def _cpu(supervisor, program, etcd, plan, world):
    node = Node(supervisor, program, etcd, PROXY_CORE)
    node.wait_until_ready()
    _wait_for_vips(node, etcd, world, ROOT)
    _wait_until_quiet(node)
    before = node.cpu_nanoseconds()
    time.sleep(min(plan.cpu_seconds, 3))
    idle = (node.cpu_nanoseconds() - before) / min(plan.cpu_seconds, 3)
    count = int(plan.rate * plan.cpu_seconds)
    changes = world.changes()
    before = node.cpu_nanoseconds()
    revision = 0
    for _ in _paced(count, plan.rate):
        revision = _change(etcd, *next(changes))
    _wait_for(node, revision)
    per_event = (node.cpu_nanoseconds() - before) / count
    result = CPU(world, count, per_event, idle, node.resident_bytes(), node.peak_bytes())
    _tell(f"{world.instances} instances: CPU time per event {per_event / 1e3:.0f} µs, "
          f"idle {idle / 1e6:.1f} ms per second, resident {result.resident >> 20} MiB")
    node.stop()
    return result


def _change(etcd, key, value):
    return etcd.api.delete(key) if value is None else etcd.api.put(key, value)


def _paced(count, rate):
    """Counts at an even pace; late turns are made up for."""
    begin = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, begin + number / rate - time.monotonic()))
        yield number


def _wait_for(node, revision):
    node.process.wait_until(lambda: node.metric("meshd_etcd_revision") >= revision, f"revision {revision}")


def _wait_until_quiet(node):
    """Until what follows a start, files included, is done: less than 2 % of a core in a second."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while time.monotonic() < deadline:
        before = node.cpu_nanoseconds()
        time.sleep(1)
        if node.cpu_nanoseconds() - before < 20_000_000:
            return
    raise HarnessError("meshd does not come to rest")


# Many nodes


@dataclasses.dataclass(frozen=True)
class Nodes:
    """Nanoseconds from the put, or the delete, to the first connection routed by it on each node."""

    nodes: int
    events: int
    seconds: float
    puts: list
    deletes: list
    late: int
    put_to_commit: float
    resident: int
    cpu: float
    foreign: float


def _nodes(supervisor, program, etcd, plan):
    world = plan.large
    nodes = []
    begin = time.monotonic()
    for number in range(plan.nodes):
        nodes.append(Node(supervisor, program, etcd, _BOTH, number))
        nodes[-1].wait_until_ready()
    for number, node in enumerate(nodes):
        _wait_for_vips(node, etcd, world, Node.vip_root(number))
    _tell(f"{plan.nodes} nodes ready and agreed after {time.monotonic() - begin:.0f} s")
    vips = [etcd.api.get(f"{Node.vip_root(number)}/vips/services/{world.canaries[0][:-5]}")
            for number in range(plan.nodes)]
    addresses = {canary: [f"{vips[number][f'{Node.vip_root(number)}/vips/services/{canary}']}:80"
                          for number in range(plan.nodes)] for canary in world.canaries}
    client = supervisor.start("scale-client", [sys.executable, os.path.join(_HERE, "scale_client.py")], _BOTH,
                              supervisor.folder("client"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    port = int(client.popen.stdout.readline().split()[1])
    for node in nodes:
        _wait_until_quiet(node)
    return _storm(etcd, plan, nodes, client, addresses, port)


def _storm(etcd, plan, nodes, client, addresses, port):
    world = plan.large
    changes, canaries = world.changes(), world.canaries
    count = int(plan.rate * plan.nodes_seconds)
    begun, kinds, commits = {}, {}, []
    before = proctree.cpu_nanoseconds([node.process.pid for node in nodes])
    start = time.monotonic()
    revision = 0
    for number in _paced(count, plan.rate):
        if number % _MEASURED_EACH:
            revision = _change(etcd, *next(changes))
            continue
        turn = number // _MEASURED_EACH
        canary, is_put = canaries[turn % len(canaries)], turn // len(canaries) % 2 == 0
        key, value = world.live(canary, port)
        kinds[turn] = "put" if is_put else "delete"
        line = " ".join([str(turn), kinds[turn], *addresses[canary]]) + "\n"
        begun[turn] = time.monotonic_ns()
        revision = _change(etcd, key, value if is_put else None)
        commits.append(time.monotonic_ns() - begun[turn])
        # Only now: until it is committed nobody can know of it.
        client.popen.stdin.write(line.encode())
        client.popen.stdin.flush()
    for node in nodes:
        _wait_for(node, revision)
    seconds = time.monotonic() - start
    cpu = (proctree.cpu_nanoseconds([node.process.pid for node in nodes]) - before) / count / len(nodes)
    client.popen.stdin.close()
    found = {"put": [], "delete": []}
    late = 0
    for line in client.popen.stdout.read().decode().splitlines():
        event, _, at = line.split()
        if at == "late":
            late += 1
        else:
            found[kinds[int(event)]].append(int(at) - begun[int(event)])
    late += len(begun) * len(nodes) - late - len(found["put"]) - len(found["delete"])
    resident = max(node.resident_bytes() for node in nodes)
    result = Nodes(len(nodes), count, seconds, sorted(found["put"]), sorted(found["delete"]), late,
                   statistics.median(commits), resident, cpu, 0)
    _tell(scale_report.nodes_line(result))
    return result
