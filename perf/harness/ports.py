"""Free TCP ports."""

import socket


def free_ports(count):
    """`count` different ports of 127.0.0.1 that nobody listens on now (the kernel's choice)."""
    sockets = []
    try:
        for _ in range(count):
            probe = socket.socket()
            sockets.append(probe)
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in sockets]
    finally:
        for probe in sockets:
            probe.close()
