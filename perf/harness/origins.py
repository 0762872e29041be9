"""The four instances behind the proxies: small, fast, and each with its own answer."""

import os
import random

from . import nginx, proctree
from .peers import accepts
from .ports import free_ports
from .processes import LOAD_CORE

COUNT = 4
SMALL_LENGTH = 100
LARGE_LENGTH = 1 << 20


def small_body(instance):
    """The 100 bytes that instance 1…4 answers with on `/`."""
    return f"instance {instance} ".ljust(SMALL_LENGTH, ".").encode()


def large_body(instance):
    """The 1 MiB that instance 1…4 answers with on `/large`."""
    return random.Random(instance).randbytes(LARGE_LENGTH)


class Origins:
    """One nginx worker with four listeners on the loader's core."""

    def __init__(self, supervisor):
        folder = supervisor.folder("origins")
        self.ports = free_ports(COUNT)
        servers = ""
        for instance, port in enumerate(self.ports, 1):
            root = os.path.join(folder, f"root{instance}")
            os.mkdir(root)
            with open(os.path.join(root, "large"), "wb") as file:
                file.write(large_body(instance))
            servers += _server(instance, port, root)
        argv = nginx.command(folder, nginx.http_block(folder, servers))
        self.process = supervisor.start("origins", argv, LOAD_CORE, folder)
        for port in self.ports:
            self.process.wait_until(lambda port=port: accepts(port), "listening")

    def cpu_nanoseconds(self):
        return proctree.cpu_nanoseconds(proctree.tree(self.process.pid))


def _server(instance, port, root):
    return (
        f"    server {{\n        listen 127.0.0.1:{port} backlog=4096;\n        root {root};\n"
        f"        add_header X-Instance {instance};\n"
        f'        location = / {{ return 200 "{small_body(instance).decode()}"; }}\n    }}\n'
    )
