"""The loader for TLS: loader/tls_load.c, which resumes sessions and says how many; compiled for each run."""

import dataclasses
import json
import os
import shutil
import subprocess

from . import layout, load
from .errors import HarnessError

_SOURCE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "loader", "tls_load.c")


def build(supervisor):
    """Compiles the loader; returns its path."""
    compiler = shutil.which("cc") or shutil.which("clang")
    if compiler is None:
        raise HarnessError("no C compiler is installed: run perf/install")
    program = os.path.join(supervisor.folder("loader"), "tls_load")
    done = subprocess.run(
        [compiler, "-std=c11", "-O2", "-Wall", "-Wextra", "-o", program, _SOURCE, "-lssl", "-lcrypto"],
        capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise HarnessError(f"the TLS loader does not build (perf/install installs libssl-dev):\n{done.stderr[-2000:]}")
    return program


@dataclasses.dataclass(frozen=True)
class Load:
    """`mode` is what the loader is told: keepalive, full or resumed."""

    program: str
    path: str
    connections: int
    mode: str
    body_length: int

    def run(self, supervisor, running, seconds):
        """Loads a peer; any error, any answer but 200, and handshakes of the wrong kind end the run."""
        argv = [self.program, str(running.port), layout.HOST, self.path, str(self.connections),
                str(round(seconds * 1000)), self.mode]
        try:
            text, cpu = load.execute(supervisor, "tls_load", supervisor.folder("tls_load"), argv,
                                     lambda process: load.wait_for_success(process, seconds))
            return self._outcome(json.loads(text), cpu)
        except (HarnessError, json.JSONDecodeError) as error:
            raise HarnessError(f"{running.name}: {error}") from error

    def _outcome(self, values, cpu):
        requests = values["requests"]
        if requests == 0:
            raise HarnessError("tls_load got no answer")
        if values["bytes"] < requests * self.body_length:
            raise HarnessError(f"tls_load read {values['bytes']} bytes in {requests} answers: too few")
        self._check_handshakes(requests, values["handshakes"], values["resumed"])
        return load.Outcome(requests, values["seconds"], values["bytes"], values["p50_us"], values["p99_us"], cpu)

    def _check_handshakes(self, requests, handshakes, resumed):
        if handshakes != (min(requests, self.connections) if self.mode == "keepalive" else requests):
            raise HarnessError(f"{handshakes} handshakes for {requests} requests")
        # Only the first connection of each of the parallel ones has no ticket to offer.
        if self.mode == "resumed" and (resumed == 0 or resumed < handshakes - self.connections):
            raise HarnessError(f"only {resumed} of {handshakes} handshakes resumed a session")
        if self.mode != "resumed" and resumed:
            raise HarnessError(f"{resumed} of {handshakes} handshakes resumed a session that was not offered")
