"""What every loader gives, and how one is run."""

import dataclasses
import resource
import subprocess

from .errors import HarnessError
from .processes import LOAD_CORE


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a loader counted: `seconds` it ran, `bytes` with heads, latencies in microseconds, its own CPU time."""

    requests: int
    seconds: float
    bytes: int
    p50: float
    p99: float
    cpu_nanoseconds: int


def execute(supervisor, name, folder, argv, wait, environment=None):
    """Runs a loader until `wait(process)` returns; returns what it printed and its CPU time in nanoseconds."""
    before = _children_nanoseconds()
    process = supervisor.start(name, argv, LOAD_CORE, folder, environment=environment)
    try:
        wait(process)
    finally:
        supervisor.stop(process)
    with open(process.log, encoding="utf-8", errors="replace") as file:
        return file.read(), _children_nanoseconds() - before


def wait_for_success(process, seconds):
    """Waits for a loader that ends by itself after `seconds`."""
    try:
        status = process.popen.wait(seconds + 20)
    except subprocess.TimeoutExpired as error:
        raise HarnessError(f"{process.name} did not end\n{process.log_tail()}") from error
    if status != 0:
        raise HarnessError(f"{process.name} failed ({status}): {process.log_tail()}")


def _children_nanoseconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int((usage.ru_utime + usage.ru_stime) * 1e9)
