"""meshd, given a catalogue file."""

import http.client
import os

from .errors import HarnessError
from .peers import Peer, first_line, write_file
from .ports import free_ports

_CONTAINER_PORT = 80


class Meshd(Peer):
    name = "meshd"

    def __init__(self, program):
        self.program = os.path.abspath(program)
        self._admin = 0
        if not os.access(self.program, os.X_OK):
            raise HarnessError(f"no program at {self.program}: build meshd, or name it with --meshd")

    def prepare(self, folder, layout, port):
        self._admin, unused = free_ports(2)
        catalogue = write_file(folder, "services.yaml", _catalogue(layout, port))
        certificate = layout.front.certificate
        # The HTTP listener is always there, also where the scenario asks another one. Session tickets are always on.
        web = port if layout.mode == "http" and not certificate else unused
        secure = ["--https", f"127.0.0.1:{port}", "--certificates", certificate.folder] if certificate else []
        return [
            self.program, "run", "--registry", f"file:{catalogue}", "--http", f"127.0.0.1:{web}",
            "--publish-address", "127.0.0.1", "--admin", f"127.0.0.1:{self._admin}", "--workers", "1",
            "--state-dir", os.path.join(folder, "state"), *secure,
        ]

    def ready(self, port):
        connection = http.client.HTTPConnection("127.0.0.1", self._admin, timeout=1)
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().status == 200
        except OSError:
            return False
        except http.client.HTTPException:
            return False
        finally:
            connection.close()

    def version(self):
        return first_line([self.program, "version"]).removeprefix("meshd ")


def _catalogue(layout, port):
    lines = ["services:"]
    for pool in layout.pools:
        lines.append(f"  {pool.name}:")
        if layout.mode == "http":
            lines.append("    labels:")
            lines.append(f'      mesh.routing.port_{_CONTAINER_PORT}: "{";".join(pool.hosts)}"')
            if layout.upstream_http2:
                lines.append("      mesh.protocol: h2c")
        else:
            lines.append(f'    ports: ["127.0.0.1:{port}:{_CONTAINER_PORT}"]')
        instances = ", ".join(f'"127.0.0.1:{instance}"' for instance in pool.ports)
        lines.append(f"    x-mesh-instances: [{instances}]")
    return "\n".join(lines) + "\n"
