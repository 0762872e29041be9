"""The loader: one wrk thread on the loader's core."""

import dataclasses
import functools
import math
import os
import re
import signal
import subprocess

from . import load
from .errors import HarnessError
from .peers import find_program

_LUA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lua")


@dataclasses.dataclass(frozen=True)
class Load:
    """What wrk is told. `hosts_file` lists Host values to send in turn, one a line."""

    path: str
    host: str
    connections: int
    close: bool = False
    hosts_file: str = ""
    body_length: int = 0

    def run(self, supervisor, running, seconds):
        """Loads a peer; any error or any answer but 2xx and 3xx ends the run."""
        argv = [
            find_program("wrk"), "-t1", f"-c{self.connections}", f"-d{max(1, math.ceil(seconds))}s", "--latency",
            "-s", os.path.join(_LUA, "hosts.lua" if self.hosts_file else "report.lua"), "-H", f"Host: {self.host}",
        ]
        if self.close:
            argv += ["-H", "Connection: close"]
        argv.append(f"http://127.0.0.1:{running.port}{self.path}")
        try:
            text, cpu = load.execute(supervisor, "wrk", supervisor.folder("wrk"), argv,
                                     functools.partial(_wait, seconds=seconds), {"PERF_HOSTS": self.hosts_file})
            return _parse(text, self.body_length, cpu)
        except HarnessError as error:
            raise HarnessError(f"{running.name}: {error}") from error


def _wait(process, seconds):
    """wrk knows whole seconds only; an interrupt ends a shorter run in good order, once wrk is there to hear it."""
    if seconds != int(seconds):
        process.wait_until(lambda: _catches_interrupt(process.pid), "start")
        try:
            process.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGINT)
    try:
        process.popen.wait(seconds + 20)
    except subprocess.TimeoutExpired as error:
        raise HarnessError(f"wrk did not end\n{process.log_tail()}") from error


def _catches_interrupt(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        masks = [int(line.split()[1], 16) for line in file if line.startswith("SigCgt:")]
    return any(mask >> (signal.SIGINT - 1) & 1 for mask in masks)


def _parse(text, body_length, cpu):
    line = re.search(r"^perf (.*)$", text, re.MULTILINE)
    if not line:
        raise HarnessError(f"wrk gave no result:\n{text[-1000:]}")
    values = {key: int(value) for key, value in (pair.split("=") for pair in line.group(1).split())}
    errors = {key: values[key] for key in ("connect", "read", "write", "status", "timeout") if values[key]}
    if errors:
        raise HarnessError(f"wrk counted errors: {errors}")
    if values["requests"] == 0:
        raise HarnessError("wrk got no answer")
    if values["bytes"] < values["requests"] * body_length:
        raise HarnessError(f"wrk read {values['bytes']} bytes in {values['requests']} answers: too few")
    return load.Outcome(
        values["requests"], values["duration_us"] / 1e6, values["bytes"], values["p50_us"], values["p99_us"], cpu
    )
