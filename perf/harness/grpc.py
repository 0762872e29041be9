"""Instances that answer unary gRPC calls: four nghttpd, HTTP/2 in clear, with `grpc-status` in the trailers."""

import os
import struct

from . import proctree
from .origins import COUNT, small_body
from .peers import accepts, find_program
from .ports import free_ports
from .processes import LOAD_CORE

# nghttpd chooses the content type by the ending.
PATH = "/perf.Echo/Ask.grpc"
FIELDS = (("te", "trailers"), ("content-type", "application/grpc"))
_QUESTION = b"which instance is this?".ljust(50, b".")


def message(payload):
    """One uncompressed gRPC message: a flag, the length in four bytes, the payload."""
    return struct.pack(">BI", 0, len(payload)) + payload


def question():
    return message(_QUESTION)


def answer(instance):
    return message(small_body(instance))


class GRPCOrigins:
    """Four processes on the loader's core."""

    def __init__(self, supervisor):
        self._supervisor = supervisor
        self._processes = []
        self.ports = free_ports(COUNT)
        for instance, port in enumerate(self.ports, 1):
            process = supervisor.start(
                f"grpc-origin{instance}", _command(supervisor.folder("grpc-origin"), instance, port), LOAD_CORE,
                supervisor.folder("grpc-output"))
            self._processes.append(process)
            process.wait_until(lambda port=port: accepts(port), "listening")

    def cpu_nanoseconds(self):
        return sum(proctree.cpu_nanoseconds(proctree.tree(process.pid)) for process in self._processes)

    def stop(self):
        for process in self._processes:
            self._supervisor.stop(process)


def _command(folder, instance, port):
    types = os.path.join(folder, "types")
    with open(types, "w", encoding="ascii") as file:
        file.write("application/grpc grpc\n")
    root = os.path.join(folder, "root")
    path = root + PATH
    os.makedirs(os.path.dirname(path))
    with open(path, "wb") as file:
        file.write(answer(instance))
    return [
        find_program("nghttpd"), "--no-tls", "--address=127.0.0.1", f"--htdocs={root}", f"--mime-types-file={types}",
        "--max-concurrent-streams=1000", "--no-content-length", "--trailer=grpc-status: 0", str(port),
    ]
