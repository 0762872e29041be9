"""Counts what meshd's threads allocate per operation once they are warm, against perf/allocations.json."""

import json
import mmap
import os
import pathlib
import subprocess

from . import allocation_loads, certificate
from .errors import HarnessError
from .meshd import Meshd
from .peers import find_program, write_file
from .ports import free_ports
from .processes import PROXY_CORE

_PERF = pathlib.Path(__file__).resolve().parent.parent
LIMITS = _PERF / "allocations.json"
_REPLACED = {
    "malloc": "malloc", "calloc": "calloc", "realloc": "realloc", "memalign": "memalign",
    "aligned_alloc": "memalign", "posix_memalign": "posix_memalign", "free": "free",
}
# The layout of allocations/Counter.swift.
_SLOTS = 1024
_WORDS = 4
_FILE_BYTES = 8 * _WORDS * _SLOTS
_ROUNDS = 3


def run(supervisor, program):
    """Prints a line per scenario; returns whether each kept to its limit."""
    with open(LIMITS, encoding="utf-8") as file:
        limits = json.load(file)
    names = {load.name for load in allocation_loads.ALL}
    if set(limits) != names:
        raise HarnessError(f"{LIMITS.name} and the scenarios differ: {sorted(set(limits) ^ names)}")
    print(f"{'scenario':16} {'operations':>10} {'allocations':>12} {'frees':>7} {'per 1,000':>10} {'allowed':>8}"
          f" {'OpenSSL':>10}")
    counter = _build_counter(supervisor.folder("counter"))
    over = []
    for is_logged in (False, True):
        subject = Subject(supervisor, program, counter, is_logged)
        for load in allocation_loads.ALL:
            if load.is_logged == is_logged and not _kept(subject, load, limits[load.name]):
                over.append(load.name)
        subject.stop()
    if over:
        print(f"more allocations than allowed: {', '.join(over)}")
    return not over


def _kept(subject, load, allowed):
    try:
        return _measure(subject, load, allowed)
    except (OSError, AssertionError) as error:
        raise HarnessError(f"{load.name}: {error!r}") from error


def _measure(subject, load, allowed):
    """The least of up to `_ROUNDS` rounds: a message of the control loop may fall into one, what each operation
    allocates is in all."""
    with allocation_loads.Session(subject, load) as session:
        session.repeat(load.warm_up)
        thread = subject.thread(load.on_control)
        best = None
        for _ in range(_ROUNDS):
            before = subject.counts(thread)
            session.repeat(load.operations)
            counted = tuple(after - was for after, was in zip(subject.counts(thread), before))
            best = min(best or counted, counted)
            rate = 1000 * best[0] / load.operations
            if rate <= allowed:
                break
    openssl = 1000 * best[2] / load.operations
    print(f"{load.name:16} {load.operations:10} {best[0]:12} {best[1]:7} {rate:10.1f} {allowed:8} {openssl:10.1f}",
          flush=True)
    return rate <= allowed


class Subject:
    """meshd with one worker and the counter before its allocator."""

    def __init__(self, supervisor, program, counter, is_logged):
        self._supervisor = supervisor
        self._program = os.path.realpath(Meshd(program).program)
        self.origin = allocation_loads.Origin()
        folder = supervisor.folder("allocations")
        counts = os.path.join(folder, "counts")
        with open(counts, "wb") as file:
            file.truncate(_FILE_BYTES)
        with open(counts, "r+b") as file:
            self._words = memoryview(mmap.mmap(file.fileno(), _FILE_BYTES)).cast("q")
        self.web, self.secure, self.relay, self.dns, admin = free_ports(5)
        environment = {"LD_PRELOAD": counter, "ALLOCATION_COUNTS": counts}
        catalogue = write_file(folder, "services.yaml", self._catalogue())
        self._process = supervisor.start(
            "meshd", [
                self._program, "run", "--registry", f"file:{catalogue}", "--http", f"127.0.0.1:{self.web}",
                "--https", f"127.0.0.1:{self.secure}", "--certificates", certificate.make(supervisor).folder,
                "--publish-address", "127.0.0.1", "--admin", f"127.0.0.1:{admin}", "--workers", "1",
                "--dns", f"127.0.0.1:{self.dns}", "--state-dir", os.path.join(folder, "state"),
                *(["--access-log", os.path.join(folder, "access.log")] if is_logged else []),
            ], PROXY_CORE, folder, environment=environment)
        self._process.wait_until(lambda: allocation_loads.is_ready(admin), "readiness")
        own = [self.counts(self.thread(on_control)) for on_control in (False, True)]
        if min(count for counts in own for count in counts[:2]) == 0 or own[1][2] == 0:
            raise HarnessError("the counter counts nothing: is the program linked with another allocator?")

    def _catalogue(self):
        instance = f"127.0.0.1:{self.origin.port}"
        return (
            "services:\n  web:\n    labels:\n      mesh.routing.port_80: web.test;alias.local\n"
            f'    x-mesh-instances: ["{instance}"]\n'
            f'  relay:\n    ports: ["127.0.0.1:{self.relay}:80"]\n    x-mesh-instances: ["{instance}"]\n')

    def thread(self, on_control):
        """The number of the worker's thread, or of the control loop's."""
        pid = self._process.pid
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as file:
                if file.read().strip() == "meshd-0":
                    return pid if on_control else int(task)
        raise HarnessError("meshd has no thread meshd-0")

    def counts(self, thread):
        """(allocations, frees) of the thread so far, and the same of OpenSSL on it, which are no part of them."""
        slot = _WORDS * (thread % _SLOTS)
        return tuple(self._words[slot:slot + _WORDS])

    def stop(self):
        self._supervisor.stop(self._process)
        self.origin.stop()


def _build_counter(folder):
    library = os.path.join(folder, "libcounter.so")
    source = _PERF / "allocations"
    command = [
        find_program("swiftc"), "-O", "-wmo", "-parse-as-library", "-enable-experimental-feature", "Embedded",
        "-enforce-exclusivity=unchecked", "-emit-library", str(source / "Counter.swift"), "-o", library,
        "-Xlinker", f"--version-script={source / 'exports.map'}", "-Xlinker", "-init=counter_begin",
    ]
    for name, replacement in _REPLACED.items():
        command += ["-Xlinker", f"--defsym={name}=counted_{replacement}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode != 0:
        raise HarnessError(f"the allocation counter does not build:\n{done.stderr[-2000:]}")
    return library
