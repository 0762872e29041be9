"""How many bytes an idle connection keeps resident in a proxy."""

import os
import resource
import subprocess
import sys
import time

from . import origins
from .errors import HarnessError
from .processes import LOAD_CORE
from .samples import Sample

_HERE = os.path.dirname(os.path.abspath(__file__))
_WARM = 64
_SPARE_DESCRIPTORS = 1000
_SETTLED_BYTES = 4096


def connection_count(mode, wanted):
    """`wanted`, or what the descriptor limit allows: a relayed pair costs the proxy two descriptors."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARE_DESCRIPTORS
    return max(1, min(wanted, limit if mode == "http" else limit // 2))


class TCPOrigins:
    """Four processes that hold relayed connections."""

    def __init__(self, supervisor):
        self._supervisor = supervisor
        self._processes = []
        self.ports = []
        for instance in range(1, origins.COUNT + 1):
            process = supervisor.start(
                f"idle-origin{instance}", [sys.executable, os.path.join(_HERE, "idle_origin.py"), str(instance)],
                LOAD_CORE, supervisor.folder("idle-origin"), stdout=subprocess.PIPE,
            )
            self._processes.append(process)
            self.ports.append(int(_answer(process)))

    def stop(self):
        for process in self._processes:
            self._supervisor.stop(process)


def measure(supervisor, peer, wanted_layout, count):
    """Starts the peer afresh, opens `count` connections after a warm-up, and compares its resident size."""
    running = peer.start(supervisor, wanted_layout)
    certificate = wanted_layout.front.certificate
    client = supervisor.start(
        "idle-client",
        [sys.executable, os.path.join(_HERE, "idle_client.py"), "https" if certificate else wanted_layout.mode,
         str(running.port), str(count), str(_WARM), *([certificate.chain] if certificate else [])],
        LOAD_CORE, supervisor.folder("idle-client"), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )
    _answer(client)
    before = _settled(running)
    instances = _answer(client, b"\n").split()[1]
    after = _settled(running)
    alive = int(_answer(client, b"\n").split()[1])
    supervisor.stop(client)
    running.stop(supervisor)
    if alive != count:
        raise HarnessError(f"{peer.name}: {count - alive} of {count} idle connections did not stay open")
    if count >= _WARM and instances != ",".join(str(number) for number in range(1, origins.COUNT + 1)):
        raise HarnessError(f"{peer.name}: idle connections reached instances {instances} only")
    return Sample(bytes_per_connection=(after - before) / count, rss=after, rss_before=before)


def _answer(process, line=b""):
    """Sends a line (if any) to a helper program and reads its next one."""
    if line:
        process.popen.stdin.write(line)
        process.popen.stdin.flush()
    text = process.popen.stdout.readline().decode().strip()
    if not text:
        process.popen.wait(5)
        raise HarnessError(f"{process.name} failed:\n{process.log_tail()}")
    return text


def _settled(running):
    """The resident size once two readings 0.2 s apart agree; after 5 s the last one."""
    last = running.resident_bytes()
    for _ in range(25):
        time.sleep(0.2)
        current = running.resident_bytes()
        if abs(current - last) <= _SETTLED_BYTES:
            return current
        last = current
    return last
