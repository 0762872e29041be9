"""Holds idle connections to a proxy. Runs as a program of its own, so that its descriptors are not the proxy's.

    idle_client.py http|https|tcp PORT COUNT WARM [CERTIFICATE]

It opens and closes WARM connections and prints `warm`; on a line of input it opens COUNT, uses each once, and prints
`open I1,I2,…` (the instances that answered); on the next line it prints `alive N`; on the next it ends.
"""

import select
import socket
import ssl
import sys

HOST = "perf.test"
BATCH = 64
LENGTH = 100
_HTTP_REQUEST = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
_TCP_REQUEST = b"?" * LENGTH


def open_connections(mode, port, count, context):
    """Opens `count` connections, a batch at a time in flight; returns them and the instances that answered."""
    connections, instances = [], set()
    while len(connections) < count:
        batch = [connect(port, len(connections) + index, context)
                 for index in range(min(BATCH, count - len(connections)))]
        for connection in batch:
            connection.sendall(_TCP_REQUEST if mode == "tcp" else _HTTP_REQUEST)
        for connection in batch:
            instances.add(read_answer(mode, connection))
        connections += batch
    return connections, instances


def connect(port, index, context):
    """A connection from one of a few loopback addresses, so that local ports never run short; over TLS where there
    is a context."""
    connection = socket.socket()
    connection.settimeout(20)
    connection.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
    connection.bind((f"127.0.0.{2 + index % 4}", 0))
    connection.connect(("127.0.0.1", port))
    return context.wrap_socket(connection, server_hostname=HOST) if context else connection


def read_answer(mode, connection):
    """Reads one whole answer and returns the number of the instance that gave it."""
    data = b""
    while True:
        body = data if mode == "tcp" else data.partition(b"\r\n\r\n")[2]
        if len(body) >= LENGTH:
            break
        chunk = connection.recv(4096)
        if not chunk:
            sys.exit(f"closed under a request after {data!r}")
        data += chunk
    if mode != "tcp" and not data.startswith(b"HTTP/1.1 200 ") or not body.startswith(b"instance "):
        sys.exit(f"wrong answer {data!r}")
    return int(body.split()[1])


def count_alive(connections):
    """How many connections have nothing to read: an end or stray bytes would show."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN | select.POLLRDHUP)
    return len(connections) - len(poll.poll(0))


def tls_context(chain):
    context = ssl.create_default_context(cafile=chain)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["http/1.1"])
    return context


def main():
    mode, port, count, warm = sys.argv[1], *map(int, sys.argv[2:5])
    context = tls_context(sys.argv[5]) if mode == "https" else None
    connections, _ = open_connections(mode, port, warm, context)
    for connection in connections:
        connection.close()
    print("warm", flush=True)
    sys.stdin.readline()
    connections, instances = open_connections(mode, port, count, context)
    print("open", ",".join(map(str, sorted(instances))), flush=True)
    sys.stdin.readline()
    print("alive", count_alive(connections), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
