"""The command line: options, one run from start to end, and what is written."""

import argparse
import datetime
import os
import pathlib
import resource
import signal
import sys
import tempfile

from . import allocations, envoy, machine, report, rounds, scale, scenarios, syscalls
from .envoy import Envoy
from .errors import HarnessError
from .haproxy import HAProxy
from .meshd import Meshd
from .nginx import Nginx
from .origins import Origins
from .peers import Floor, find_program, first_line
from .processes import LOAD_CORE, PROXY_CORE, Supervisor
from .samples import quiet

_PERF = pathlib.Path(__file__).resolve().parent.parent
_CHECK_SECONDS = 0.3
_CHECK_IDLE = 200
_PEERS = ("meshd", "haproxy", "nginx", "envoy", "floor")


def main():
    options = _parse_options()
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        return _run(options)
    except HarnessError as error:
        print(f"perf: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("perf: interrupted", file=sys.stderr)
        return 130


def _interrupt(*_):
    raise KeyboardInterrupt


def _parse_options():
    parser = argparse.ArgumentParser(prog="perf/run", description="Measures meshd beside its peers and no proxy.")
    names = [scenario.name for scenario in scenarios.ALL]
    parser.add_argument("--scenario", action="append", choices=names, help="only this one (repeatable)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--spare-rounds", type=int, default=5,
                        help="at most so many more, in place of rounds that other programs disturbed")
    parser.add_argument("--seconds", type=float, default=3, help="of load for each proxy in each round")
    parser.add_argument("--peers", help=f"comma-separated (default: {','.join(_PEERS)}, envoy where it is installed)")
    parser.add_argument("--meshd", default=str(_PERF.parent / ".build/release/meshd"), help="the program to measure")
    parser.add_argument("--output", help="write the report here (default: perf/RESULTS.md after a full run)")
    parser.add_argument("--check", action="store_true", help="tiny inputs: does the harness work? writes no report")
    parser.add_argument("--syscalls", action="store_true", help="count the system calls of a request instead")
    parser.add_argument("--allocations", action="store_true",
                        help="count what warm threads allocate instead; exit code 1 where it is more than allowed")
    parser.add_argument("--scale", action="store_true", help="measure a large mesh on etcd instead")
    parser.add_argument("--part", action="append", choices=scale.PARTS, help="of --scale: only this one (repeatable)")
    options = parser.parse_args()
    if options.rounds < 1 or options.spare_rounds < 0 or not 0 < options.seconds <= 600:
        parser.error("--rounds must be at least 1, --seconds more than 0 and at most 600")
    if options.check:
        options.rounds, options.seconds, options.spare_rounds = 1, _CHECK_SECONDS, 0
    return options


def _peers(options):
    known = {"meshd": lambda: Meshd(options.meshd), "haproxy": HAProxy, "nginx": Nginx, "envoy": Envoy,
             "floor": Floor}
    names = list(_PEERS) if options.peers is None else [name for name in options.peers.split(",") if name]
    if options.peers is None and envoy.program() is None:
        print("perf: envoy is left out: it is not installed (perf/install installs it)", file=sys.stderr)
        names.remove("envoy")
    for name in names:
        if name not in known:
            raise HarnessError(f"unknown peer {name}: choose from {', '.join(known)}")
    if not names or len(set(names)) != len(names):
        raise HarnessError("--peers must name at least one proxy, and none twice")
    return [known[name]() for name in names]


def _run(options):
    _claim_machine()
    if options.scale:
        with tempfile.TemporaryDirectory(prefix="perf-") as directory, Supervisor(directory) as supervisor:
            return scale.main(supervisor, options)
    if options.allocations:
        with tempfile.TemporaryDirectory(prefix="perf-") as directory, Supervisor(directory) as supervisor:
            return 0 if allocations.run(supervisor, options.meshd) else 1
    peers = _peers(options)
    chosen = [scenario for scenario in scenarios.ALL if not options.scenario or scenario.name in options.scenario]
    settings = scenarios.Settings(
        options.rounds, options.spare_rounds, options.seconds, _CHECK_IDLE if options.check else sys.maxsize
    )
    with tempfile.TemporaryDirectory(prefix="perf-") as directory, Supervisor(directory) as supervisor:
        instances = Origins(supervisor)
        if options.syscalls:
            return 0 if syscalls.run(supervisor, peers, instances) else 1
        facts = _facts(peers, options)
        results = {}
        for scenario in chosen:
            try:
                results[scenario.name] = rounds.run(scenario, supervisor, peers, instances, settings, _progress)
            except HarnessError as error:
                raise HarnessError(f"{scenario.name}: {error}") from error
    _publish(options, chosen, results, facts)
    return 0


def _claim_machine():
    """Room for descriptors, and the harness itself on the loader's core."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if PROXY_CORE == LOAD_CORE:
        raise HarnessError("two cores are needed: one for the proxy, one for the load and the instances")
    os.sched_setaffinity(0, {LOAD_CORE})


def _facts(peers, options):
    versions = [f"{peer.name} {peer.version()}" for peer in peers if peer.has_process]
    versions.append(" ".join(first_line([find_program("wrk"), "-v"]).split()[:2]))
    versions.append(first_line([find_program("h2load"), "--version"]).replace("/", " "))
    return (
        ("machine", machine.describe()),
        ("versions", ", ".join(versions)),
        ("date", datetime.date.today().isoformat()),
        ("settings", f"{options.rounds} rounds of {options.seconds:g} s; one worker each, on core {PROXY_CORE}; "
                     f"load and four instances on core {LOAD_CORE}; upstream keep-alive, logs off"),
    )


def _progress(scenario, number, last):
    """One line a round, on the error stream, so that the report can be piped."""
    parts = []
    for name, sample in last.items():
        if sample.bytes_per_connection is not None:
            parts.append(f"{name} {sample.bytes_per_connection:.0f} B")
        elif sample.cpu_per_gib is not None:
            parts.append(f"{name} {sample.cpu_per_gib:.2f} s/GiB")
        elif sample.cpu_per_request is not None:
            parts.append(f"{name} {sample.cpu_per_request:.1f} µs")
        else:
            parts.append(f"{name} {sample.rate:.0f}/s")
    noise = "" if all(quiet(sample) for sample in last.values()) else " (other programs disturbed it)"
    print(f"{scenario.name} round {number}: {', '.join(parts)}{noise}", file=sys.stderr)


def _publish(options, chosen, results, facts):
    """Prints the report; a full run also writes RESULTS.md, a partial one only where --output says."""
    text = report.document(chosen, results, facts)
    full = len(chosen) == len(scenarios.ALL) and "meshd" in (options.peers or "meshd").split(",")
    path = options.output or (str(_PERF / "RESULTS.md") if full else None)
    if options.check:
        print(f"perf: {len(results)} scenarios checked")
        return
    print(text, end="")
    if path:
        pathlib.Path(path).write_text(text, encoding="utf-8")
        print(f"perf: wrote {path}", file=sys.stderr)
