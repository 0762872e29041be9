"""One meshd of the mesh that is measured."""

import http.client
import os
import tempfile
import time

from . import proctree
from .errors import HarnessError
from .ports import free_ports
from .scale_world import ROOT

_START_TIMEOUT = 60
_MEMORY = "/dev/shm" if os.path.isdir("/dev/shm") else None


class Node:
    """A meshd with one worker, DNS and a state directory. `cores` is what taskset understands.

    Several on one machine cannot listen on the same VIPs: with `number` each gets a range of its own, and agrees on
    them in a registry of its own, which it watches beside the common one.
    """

    def __init__(self, supervisor, program, etcd, cores, number=None):
        self._supervisor = supervisor
        folder = supervisor.folder("meshd")
        state, self._memory = os.path.join(folder, "state"), None
        if number is not None:
            # Twenty nodes have twenty disks; here they would all wait for etcd's.
            self._memory = tempfile.TemporaryDirectory(prefix="perf-", dir=_MEMORY)
            state = self._memory.name
        web, dns, self._admin = free_ports(3)
        url = f"etcd://127.0.0.1:{etcd.port}"
        own = [] if number is None else ["--registry", f"{url}{self.vip_root(number)}"]
        self.started = time.monotonic()
        self.process = supervisor.start("meshd", [
            os.path.abspath(program), "run", *own, "--registry", url + ROOT, "--workers", "1",
            "--http", f"127.0.0.1:{web}", "--admin", f"127.0.0.1:{self._admin}", "--dns", f"127.0.0.1:{dns}",
            "--vip-range", f"127.{128 + (number or 0)}.0.0/16", "--publish-address", "127.0.0.1",
            "--state-dir", state, "--node", f"measured-{number or 0}",
        ], cores, folder)

    @staticmethod
    def vip_root(number):
        return f"/vips-{number:02}"

    def wait_until_ready(self):
        """Seconds from start to the first answer that says ready."""
        self.process.wait_until(self._is_ready, "readiness", timeout=_START_TIMEOUT)
        return time.monotonic() - self.started

    def _is_ready(self):
        try:
            return self._get("/ready")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def _get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self._admin, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def metric(self, name):
        """The sum of a metric over its labels."""
        status, text = self._get("/metrics")
        if status != 200:
            raise HarnessError(f"meshd answers /metrics with {status}")
        return sum(float(line.rpartition(" ")[2]) for line in text.splitlines()
                   if line.startswith((name + " ", name + "{")))

    def cpu_nanoseconds(self):
        return proctree.cpu_nanoseconds([self.process.pid])

    def cpu_by_thread(self):
        return proctree.cpu_by_thread(self.process.pid)

    def resident_bytes(self):
        return proctree.resident_bytes([self.process.pid])

    def peak_bytes(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))

    def stop(self):
        self._supervisor.stop(self.process)
        if self._memory:
            self._memory.cleanup()
