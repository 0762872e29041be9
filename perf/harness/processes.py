"""Starts processes on a chosen core and ends every one of them, whatever happens."""

import ctypes
import os
import signal
import subprocess
import time

from . import proctree
from .errors import HarnessError

# The first two cores this process may use; the same one twice where there is no second (see cli).
_USABLE_CORES = sorted(os.sched_getaffinity(0))
PROXY_CORE = _USABLE_CORES[0]
LOAD_CORE = _USABLE_CORES[min(1, len(_USABLE_CORES) - 1)]

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _end_with_parent():
    """Runs in the child: should the harness be killed outright, its processes are told to end."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


class Process:
    """One started program; its output is kept in `log` for error messages."""

    def __init__(self, name, argv, core, log, stdin=None, stdout=None, environment=None):
        self.name = name
        self.log = log
        with open(log, "wb") as sink:
            self.popen = subprocess.Popen(
                ["taskset", "-c", str(core), *argv],
                stdin=stdin or subprocess.DEVNULL,
                stdout=stdout or sink,
                stderr=sink,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        self.pid = self.popen.pid

    def alive(self):
        return self.popen.poll() is None

    def log_tail(self):
        """The last lines of its output, for an error message."""
        with open(self.log, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-12:]).strip()

    def wait_until(self, ready, what, timeout=15):
        """Polls `ready()` until it is true; fails when the process ends first or the time is over."""
        deadline = time.monotonic() + timeout
        while not ready():
            if not self.alive():
                raise HarnessError(f"{self.name} ended before {what}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise HarnessError(f"{self.name}: no {what} within {timeout} s\n{self.log_tail()}")
            time.sleep(0.01)

    def stop(self, grace=3):
        """SIGTERM, and SIGKILL to what is left of its tree after `grace` seconds."""
        if not self.alive():
            return
        family = [(pid, proctree.start_time(pid)) for pid in proctree.tree(self.pid)]
        self.popen.terminate()
        try:
            self.popen.wait(grace)
        except subprocess.TimeoutExpired:
            pass
        for pid, started in family:
            if started is not None and proctree.start_time(pid) == started:
                _kill(pid)
        self.popen.wait(grace)
        for stream in (self.popen.stdin, self.popen.stdout):
            if stream:
                stream.close()


def _kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


class Supervisor:
    """Owns every process of a run; leaving the `with` block ends them, newest first."""

    def __init__(self, directory):
        self.directory = directory
        self._started = []
        self._count = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        while self._started:
            self._started.pop().stop()

    def folder(self, name):
        """A new folder for one process's files."""
        self._count += 1
        path = os.path.join(self.directory, f"{self._count:03d}-{name}")
        os.mkdir(path)
        return path

    def start(self, name, argv, core, folder, **options):
        process = Process(name, argv, core, os.path.join(folder, "output.log"), **options)
        self._started.append(process)
        return process

    def stop(self, process):
        process.stop()
        if process in self._started:
            self._started.remove(process)
