"""What every measured proxy has in common, and the floor: no proxy at all."""

import os
import shutil
import socket
import subprocess

from . import proctree
from .errors import HarnessError
from .ports import free_ports
from .processes import PROXY_CORE


class Peer:
    """A proxy that can be started for a layout. Subclasses write its files and name its command line."""

    name = ""
    has_process = True

    def start(self, supervisor, layout):
        """Starts the proxy and waits until it serves."""
        folder = supervisor.folder(self.name)
        (port,) = free_ports(1)
        process = supervisor.start(self.name, self.prepare(folder, layout, port), PROXY_CORE, folder)
        process.wait_until(lambda: self.ready(port), "readiness")
        return Running(self, process, [port], layout)

    def missing(self, layout):
        """What keeps the peer from serving the layout, in a few words; nothing where it can."""
        return ""

    def prepare(self, folder, layout, port):
        """Writes what the proxy reads and returns its command line."""
        raise NotImplementedError

    def ready(self, port):
        return accepts(port)

    def version(self):
        raise NotImplementedError


class Running:
    """A started peer: where to reach it and what it uses."""

    def __init__(self, peer, process, ports, layout):
        self.peer = peer
        self.name = peer.name
        self.process = process
        self.ports = ports
        self.layout = layout

    @property
    def port(self):
        return self.ports[0]

    def pids(self):
        return proctree.tree(self.process.pid) if self.process else []

    def cpu_nanoseconds(self):
        return proctree.cpu_nanoseconds(self.pids())

    def resident_bytes(self):
        return proctree.resident_bytes(self.pids())

    def stop(self, supervisor):
        if self.process:
            supervisor.stop(self.process)


class Floor(Peer):
    """The loader speaks to an instance directly: what a request costs before any proxy is added."""

    name = "floor"
    has_process = False

    def start(self, supervisor, layout):
        return Running(self, None, list(layout.pools[0].ports), layout)

    def missing(self, layout):
        if layout.front.certificate:
            return "the instances do not speak TLS"
        return "" if layout.front.http2 == layout.upstream_http2 else "the instances do not speak HTTP/2"

    def version(self):
        return "no proxy"


def accepts(port):
    """Whether something listens on 127.0.0.1:port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def find_program(name):
    """The program's path, also where an ordinary user's PATH leaves /usr/sbin out."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    if path is None:
        raise HarnessError(f"{name} is not installed: run perf/install")
    return path


def first_line(argv):
    """First line of what a program prints, on either stream, but for blank ones."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10)
    return ((done.stdout or done.stderr).strip().splitlines() or ["unknown"])[0].strip()


def write_file(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path
