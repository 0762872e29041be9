"""Measures what a large mesh costs: cold start, memory, CPU time per event, and how soon a change is routed by."""

import dataclasses
import datetime
import os
import pathlib
import statistics
import subprocess
import sys
import time

from . import machine, proctree, scale_report
from .errors import HarnessError
from .etcd import Etcd
from .peers import first_line
from .processes import LOAD_CORE, PROXY_CORE
from .scale_node import Node
from .scale_world import ROOT, World

_HERE = pathlib.Path(__file__).resolve().parent
_RESULTS = _HERE.parent / "RESULTS-SCALE.md"
_BOTH = f"{PROXY_CORE},{LOAD_CORE}"
_MEASURED_EACH = 20  # one change of so many is a canary's
_SETTLE_SECONDS = 60

PARTS = ("cold", "cpu", "nodes")


@dataclasses.dataclass(frozen=True)
class Plan:
    """How large, and how long in seconds. CPU time per event is compared with the first of the `small` ones."""

    large: World
    small: tuple
    nodes: int
    rate: int
    cpu_seconds: float
    nodes_seconds: float
    cold_starts: int


FULL = Plan(World(1000, 100_000), (World(1000, 1000), World(10, 1000)), nodes=20, rate=100, cpu_seconds=30,
            nodes_seconds=30, cold_starts=2)
CHECK = Plan(World(20, 200), (World(20, 20),), nodes=2, rate=50, cpu_seconds=0.5, nodes_seconds=1, cold_starts=1)


def main(supervisor, options):
    """What `perf/run --scale` does; returns the exit code. A whole run writes the results."""
    plan, parts = (CHECK if options.check else FULL), tuple(options.part or PARTS)
    results = run(supervisor, options.meshd, plan, parts)
    if options.check:
        print(f"scale: {len(results)} parts checked")
        return 0
    facts = (
        ("machine", machine.describe()),
        ("versions", f"{first_line([options.meshd, 'version'])}, etcd {Etcd.version()}"),
        ("date", datetime.date.today().isoformat()),
    )
    text = scale_report.document(results, facts)
    print(text, end="")
    path = options.output or (_RESULTS if set(parts) == set(PARTS) else None)
    if path:
        pathlib.Path(path).write_text(text, encoding="utf-8")
        _tell(f"wrote {path}")
    return 0


def run(supervisor, program, plan, parts):
    """Runs the chosen parts and returns {part: result} for the report."""
    results = {}
    etcd = _filled(supervisor, plan.large)
    if "cold" in parts:
        results["cold"] = _cold(supervisor, program, etcd, plan)
    if "cpu" in parts:
        results["cpu"] = [_cpu(supervisor, program, etcd, plan, plan.large)]
    if "nodes" in parts:
        results["nodes"] = _nodes(supervisor, program, etcd, plan)
    etcd.stop()
    if "cpu" in parts:
        for world in plan.small:
            etcd = _filled(supervisor, world)
            results["cpu"].append(_cpu(supervisor, program, etcd, plan, world))
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
    """One start; `agreed` is when every service had a VIP, where none had one before. `foreign` as in `Nodes`."""

    ready: float
    agreed: float
    cpu: float
    etcd_cpu: float
    resident: int
    peak: int
    foreign: float


def _cold(supervisor, program, etcd, plan):
    """The first start finds no VIPs and claims one for each service; the others find them."""
    found = []
    for _ in range(1 + plan.cold_starts):
        usage = _Usage([], etcd.process.pid)
        node = Node(supervisor, program, etcd, PROXY_CORE)
        ready = node.wait_until_ready()
        spent, cpu, resident = usage.spent(), node.cpu_nanoseconds() / 1e9, node.resident_bytes()
        foreign = max(0.0, spent["foreign"] - cpu / ready)
        agreed = _wait_for_vips(node, etcd, plan.large, ROOT)
        found.append(Cold(ready, agreed - node.started, cpu, spent["etcd"] / 1e9, resident, node.peak_bytes(), foreign))
        _tell(f"ready in {ready:.2f} s, CPU time {cpu:.2f} s and {spent['etcd'] / 1e9:.2f} s in etcd, at most "
              f"{found[-1].peak >> 20} MiB; VIPs within {found[-1].agreed:.1f} s; others {foreign:.2f} cores")
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
    """Nanoseconds per event, all included: idle work, and the thread that keeps catalogues on disk (`keeper`)."""

    world: World
    events: int
    per_event: float
    keeper: float
    idle: float
    resident: int
    peak: int


def _cpu(supervisor, program, etcd, plan, world):
    node = Node(supervisor, program, etcd, PROXY_CORE)
    node.wait_until_ready()
    _wait_for_vips(node, etcd, world, ROOT)
    _wait_until_quiet(node)
    idle = _idle(node, min(plan.cpu_seconds, 3))
    count = int(plan.rate * plan.cpu_seconds)
    changes = world.changes()
    before = node.cpu_by_thread()
    revision = 0
    for _ in _paced(count, plan.rate):
        revision = _change(etcd, *next(changes))
    _wait_for(node, revision)
    after = node.cpu_by_thread()
    spent = {name: (after[name] - before.get(name, 0)) / count for name in after}
    result = CPU(world, count, sum(spent.values()), spent.get("meshd-keeper", 0), idle, node.resident_bytes(),
                 node.peak_bytes())
    _tell(scale_report.cpu_line(result))
    node.stop()
    return result


def _idle(node, seconds):
    """CPU nanoseconds in a second in which nothing happens."""
    before = node.cpu_nanoseconds()
    time.sleep(seconds)
    return (node.cpu_nanoseconds() - before) / seconds


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
    """Nanoseconds from the put, or the delete, to the first connection routed by it on each node, in order.

    `late` never were. `cpu` is per event and node, `etcd_cpu` per event, `foreign` in cores: what is not of this run.
    """

    nodes: int
    events: int
    seconds: float
    puts: list
    deletes: list
    late: int
    commit: float
    resident: int
    cpu: float
    etcd_cpu: float
    foreign: float


def _nodes(supervisor, program, etcd, plan):
    world = plan.large
    begin = time.monotonic()
    nodes = []
    for number in range(plan.nodes):
        nodes.append(Node(supervisor, program, etcd, _BOTH, number))
        # Two at a time, as many as there are cores.
        if number % 2:
            nodes[-2].wait_until_ready()
            nodes[-1].wait_until_ready()
    for number, node in enumerate(nodes):
        _wait_for_vips(node, etcd, world, Node.vip_root(number))
    _tell(f"{plan.nodes} nodes ready and agreed after {time.monotonic() - begin:.0f} s")
    client = _Client(supervisor, {canary: _addresses(etcd, canary, len(nodes)) for canary in world.canaries})
    for node in nodes:
        _wait_until_quiet(node)
    result = _storm(etcd, plan, nodes, client)
    for node in nodes:
        node.stop()
    return result


def _addresses(etcd, canary, count):
    """The canary's VIP on each node."""
    keys = [f"{Node.vip_root(number)}/vips/services/{canary}" for number in range(count)]
    return [f"{etcd.api.get(key)[key]}:80" for key in keys]


class _Client:
    """scale_client.py, and when each of its changes was begun."""

    def __init__(self, supervisor, addresses):
        self._addresses = addresses
        self._process = supervisor.start(
            "scale-client", [sys.executable, str(_HERE / "scale_client.py")], _BOTH, supervisor.folder("client"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.port = int(self._process.popen.stdout.readline().split()[1])
        self._begun = []
        self.commits = []

    @property
    def pid(self):
        return self._process.pid

    def watch(self, kind, canary, begun, committed):
        """Only when etcd has taken it: before that nobody can know of it."""
        line = " ".join([str(len(self._begun)), kind, *self._addresses[canary]]) + "\n"
        self._process.popen.stdin.write(line.encode())
        self._process.popen.stdin.flush()
        self._begun.append((kind, begun))
        self.commits.append(committed - begun)

    def finish(self):
        """({kind: nanoseconds in order}, how many never were)."""
        self._process.popen.stdin.close()
        found, late = {"put": [], "delete": []}, 0
        for line in self._process.popen.stdout.read().decode().splitlines():
            event, _, at = line.split()
            kind, begun = self._begun[int(event)]
            if at == "late":
                late += 1
            else:
                found[kind].append(int(at) - begun)
        expected = sum(len(self._addresses[canary]) for canary in list(self._addresses)[:1]) * len(self._begun)
        if len(found["put"]) + len(found["delete"]) + late != expected:
            raise HarnessError(f"the client told of other changes than were made\n{self._process.log_tail()}")
        return {kind: sorted(values) for kind, values in found.items()}, late


def _storm(etcd, plan, nodes, client):
    """Changes at an even pace, some of them of canaries, and what became of these on every node."""
    world = plan.large
    changes, canaries = world.changes(), world.canaries
    count = int(plan.rate * plan.nodes_seconds)
    pids = [node.process.pid for node in nodes]
    usage = _Usage(pids, etcd.process.pid, client.pid)
    revision = 0
    for number in _paced(count, plan.rate):
        if number % _MEASURED_EACH:
            revision = _change(etcd, *next(changes))
            continue
        turn = number // _MEASURED_EACH
        canary, is_put = canaries[turn % len(canaries)], turn // len(canaries) % 2 == 0
        key, value = world.live(canary, client.port)
        begun = time.monotonic_ns()
        revision = _change(etcd, key, value if is_put else None)
        client.watch("put" if is_put else "delete", canary, begun, time.monotonic_ns())
    spent = usage.spent()
    for node in nodes:
        _wait_for(node, revision)
    found, late = client.finish()
    result = Nodes(len(nodes), count, spent["seconds"], found["put"], found["delete"], late,
                   statistics.median(client.commits), max(node.peak_bytes() for node in nodes),
                   spent["meshd"] / count / len(nodes), spent["etcd"] / count, spent["foreign"])
    _tell(scale_report.nodes_line(result))
    return result


class _Usage:
    """CPU time from now on, by who spends it."""

    def __init__(self, meshd, etcd, *clients):
        self._pids = {"meshd": meshd, "etcd": [etcd], "client": clients, "harness": [os.getpid()]}
        self._begin, self._before, self._busy = time.monotonic(), self._now(), proctree.machine_busy_nanoseconds()

    def _now(self):
        return {name: proctree.cpu_nanoseconds(pids) for name, pids in self._pids.items()}

    def spent(self):
        seconds = time.monotonic() - self._begin
        busy = proctree.machine_busy_nanoseconds() - self._busy
        spent = {name: value - self._before[name] for name, value in self._now().items()}
        foreign = max(0.0, (busy - sum(spent.values())) / 1e9 / seconds)
        return {**spent, "seconds": seconds, "foreign": foreign}
