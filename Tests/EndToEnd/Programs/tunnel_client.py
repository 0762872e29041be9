"""WebSocket tunnels of a client, over HTTP/1.1, HTTP/2 or HTTP/2 with TLS:

    tunnel_client.py PORT HOST h1|h2|h2s CASE [ARGUMENT]

Ends with 0 where all is as it should be; the last line of the output is for the caller. The cases are those of
`tunnel_instance.py`."""

import base64
import os
import random
import socket
import struct
import sys
import time

import h2.errors
import websocket_frames
from http2_client import HOST, PATIENCE, PORT, Client, pairs
from http2_goaways import Goaways

PROTOCOL, CASE = sys.argv[3], sys.argv[4]
ARGUMENT = sys.argv[5] if len(sys.argv) > 5 else ""
FLOOD = bytes(range(256)) * (16 << 10)


class H1Tunnel:
    def __init__(self, path):
        self.socket = socket.create_connection(("127.0.0.1", PORT), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {self.key}\r\n\r\n".encode())
        self.data, self.is_reset, self.has_ended = b"", False, False

    def opened(self):
        """The status that stands for success is 200 for both protocols."""
        while b"\r\n\r\n" not in self.data:
            assert self.more(), f"the end within a head: {self.data}"
        head, self.data = self.data.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        self.fields = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}
        status = lines[0].split(" ")[1]
        if status != "101":
            return status
        assert self.fields["sec-websocket-accept"] == websocket_frames.accept(self.key), lines
        assert self.fields["upgrade"] == "websocket" and self.fields["connection"] == "Upgrade", lines
        return "200"

    def more(self):
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            self.is_reset, data = True, b""
        self.data += data
        self.has_ended = self.has_ended or not data
        return data

    def send(self, data):
        self.socket.sendall(data)

    def stuff(self):
        """Sends until nobody takes any more; returns how much was."""
        self.socket.settimeout(0.5)
        count = 0
        try:
            while count < 64 << 20:
                count += self.socket.send(bytes(1 << 16))
        except TimeoutError:
            pass
        self.socket.settimeout(PATIENCE)
        return count

    def end(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def stall(self):
        pass

    def go_on(self):
        pass


class H2Tunnel:
    def __init__(self, path):
        self.client = Client()
        self.client.filter = Goaways(False).without
        self.client.until(lambda: self.client.h2.remote_settings.enable_connect_protocol == 1, "the setting")
        self.stream = self.client.h2.get_next_available_stream_id()
        head = pairs(path, "CONNECT", [(":protocol", "websocket"), ("sec-websocket-version", "13")])
        head.sort(key=lambda field: not field[0].startswith(":"))
        self.client.h2.send_headers(self.stream, head)
        self.client.flush()
        self.fields = {}

    def opened(self):
        self.client.until(lambda: self.stream in self.client.heads or self.is_reset, "a head")
        self.fields = self.client.heads.get(self.stream, {})
        assert not {"sec-websocket-accept", "connection", "upgrade"} & set(self.fields), self.fields
        return self.fields.get(":status")

    @property
    def is_reset(self):
        return self.client.resets.get(self.stream, 0) != 0

    @property
    def has_ended(self):
        return self.stream in self.client.ended or self.is_reset or self.client.is_closed

    @property
    def data(self):
        return self.client.bodies.get(self.stream, b"")

    @data.setter
    def data(self, value):
        self.client.bodies[self.stream] = value

    def more(self):
        self.client.turn()

    def send(self, data):
        data = memoryview(data)
        while data:
            count = min(self.client.h2.local_flow_control_window(self.stream), 16384, len(data))
            if count == 0:
                self.client.turn()
                continue
            self.client.h2.send_data(self.stream, bytes(data[:count]))
            self.client.flush()
            data = data[count:]

    def stuff(self):
        self.client.socket.settimeout(0.5)
        sent = 0
        try:
            while sent < 64 << 20:
                count = min(self.client.h2.local_flow_control_window(self.stream), 16384)
                if count:
                    self.client.h2.send_data(self.stream, bytes(count))
                    self.client.flush()
                    sent += count
                else:
                    self.client.turn()
        except TimeoutError:
            pass
        self.client.socket.settimeout(PATIENCE)
        return sent

    def end(self):
        self.client.h2.end_stream(self.stream)
        self.client.flush()

    def reset(self):
        self.client.h2.reset_stream(self.stream, h2.errors.ErrorCodes.CANCEL)
        self.client.flush()
        # The connection is none the worse for it.
        assert self.client.finish(self.client.request("/after"))[0] == "200"

    def stall(self):
        self.client.opens_windows = lambda stream: stream != self.stream

    def go_on(self):
        self.client.opens_windows = lambda stream: True
        self.client.h2.increment_flow_control_window(1 << 30, self.stream)
        self.client.flush()


def begin(path):
    return H1Tunnel(path) if PROTOCOL == "h1" else H2Tunnel(path)


def open_tunnel(path):
    tunnel = begin(path)
    assert (status := tunnel.opened()) == "200", (status, tunnel.fields)
    assert tunnel.fields["sec-websocket-protocol"] == "test", tunnel.fields
    return tunnel


def exactly(tunnel, count):
    while len(tunnel.data) < count:
        assert not tunnel.has_ended, f"the end after {len(tunnel.data)} of {count} octets"
        tunnel.more()
    data = tunnel.data
    tunnel.data = data[count:]
    return data[:count]


def to_end(tunnel):
    while not tunnel.has_ended:
        tunnel.more()
    assert not tunnel.is_reset, "a reset instead of the end"
    return tunnel.data


def echo():
    tunnel = open_tunnel("/echo")
    for number in range(20):
        text = f"\x81frame {number}\r\n\r\n".encode()
        tunnel.send(text)
        assert exactly(tunnel, len(text)) == text
    tunnel.end()
    assert to_end(tunnel) == b""


def chat():
    """WebSocket messages until a file appears."""
    tunnel, messages, count, draw = open_tunnel("/chat"), websocket_frames.Messages(), 0, random.Random(1)
    print("open", flush=True)
    deadline = time.monotonic() + 60
    while not os.path.exists(ARGUMENT):
        message = draw.randbytes(draw.choice((0, 1, 125, 126, 65_535, 65_536, 300_000)))
        tunnel.send(websocket_frames.frame(message, True))
        found = []
        while not found:
            assert not tunnel.has_ended and time.monotonic() < deadline, "the tunnel ended"
            tunnel.more()
            data, tunnel.data = tunnel.data, b""
            found = messages.feed(data)
        assert found == [message], "another message came back"
        count += 1
    tunnel.end()
    print(count)


def count():
    tunnel = open_tunnel("/count")
    tunnel.send(bytes(300_000))
    tunnel.end()
    assert to_end(tunnel) == b"after 300000", tunnel.data


def end_at_once():
    tunnel = begin("/count")
    tunnel.end()
    assert tunnel.opened() == "200" and to_end(tunnel) == b"after 0", tunnel.data


def early():
    """Bytes that come before the answer are the tunnel's if there is one."""
    tunnel = begin("/count")
    tunnel.send(bytes(50_000))
    assert tunnel.opened() == "200"
    tunnel.end()
    assert to_end(tunnel) == b"after 50000", tunnel.data


def own_fields():
    """A second header block within the tunnel (HTTP/2)."""
    tunnel = open_tunnel("/echo")
    tunnel.client.h2.send_headers(tunnel.stream, [("x-late", "1")], end_stream=True)
    tunnel.client.flush()
    while not tunnel.is_reset:
        tunnel.more()
    assert tunnel.client.resets[tunnel.stream] == h2.errors.ErrorCodes.PROTOCOL_ERROR, tunnel.client.resets
    assert tunnel.client.finish(tunnel.client.request("/after"))[0] == "200"


def bye():
    tunnel = open_tunnel("/bye")
    assert to_end(tunnel) == b"bye", tunnel.data
    tunnel.send(bytes(30_000))
    tunnel.end()


def many():
    """ARGUMENT: so many tunnels that are asked for together, and a file until which they are held."""
    number, path = ARGUMENT.split(" ")
    tunnels = [begin("/echo") for _ in range(int(number))]
    for tunnel in tunnels:
        assert (status := tunnel.opened()) == "200", (status, tunnel.fields)
    for tunnel in tunnels:
        tunnel.send(b"hello")
        assert exactly(tunnel, 5) == b"hello"
    print("open", flush=True)
    while not os.path.exists(path):
        time.sleep(0.01)
    for tunnel in tunnels:
        tunnel.end()
        assert to_end(tunnel) == b""


def refuse():
    tunnel = begin("/refuse")
    assert tunnel.opened() == "403", tunnel.fields
    assert exactly(tunnel, 2) == b"no"


def status():
    """ARGUMENT: a path, the status that meshd answers, and what Proxy-Status says."""
    path, code, details = ARGUMENT.split(" ", 2)
    tunnel = begin(path)
    assert tunnel.opened() == code, tunnel.fields
    assert details in tunnel.fields.get("proxy-status", ""), tunnel.fields


def broken():
    tunnel = open_tunnel("/break")
    tunnel.send(b"first")
    while not tunnel.has_ended:
        tunnel.more()
    assert tunnel.is_reset, "an end in order"
    if PROTOCOL != "h1":
        assert tunnel.client.resets[tunnel.stream] == h2.errors.ErrorCodes.CANCEL, tunnel.client.resets
        assert tunnel.client.finish(tunnel.client.request("/after"))[0] == "200"


def reset_waiting():
    tunnel = begin("/silent")
    print("sent", flush=True)
    while not os.path.exists(ARGUMENT):
        time.sleep(0.01)
    tunnel.reset()


def reset_open():
    tunnel = open_tunnel("/echo")
    tunnel.send(b"hello")
    assert exactly(tunnel, 5) == b"hello"
    tunnel.reset()


def reset_half():
    tunnel = open_tunnel("/deaf")
    tunnel.end()
    tunnel.reset()


def flood():
    """A reader that stops, then goes on, gets all of it."""
    tunnel = begin("/flood")
    tunnel.stall()
    assert tunnel.opened() == "200"
    if PROTOCOL != "h1":
        tunnel.client.until(lambda: len(tunnel.data) == 65535, "a full window")
        stream = tunnel.client.request("/after")
        assert tunnel.client.finish(stream)[0] == "200", "another stream"
    print("stalled", flush=True)
    while not os.path.exists(ARGUMENT):
        time.sleep(0.01)
    tunnel.go_on()
    assert to_end(tunnel) == FLOOD
    tunnel.end()


def killed():
    """The instance dies while the client reads nothing. Of HTTP/1.1 that is an end like any other."""
    path, instance = ARGUMENT.split(" ")
    tunnel = begin("/endless")
    tunnel.stall()
    assert tunnel.opened() == "200"
    if PROTOCOL != "h1":
        tunnel.client.until(lambda: len(tunnel.data) == 65535, "a full window")
    print("stalled", flush=True)
    while not os.path.exists(path):
        time.sleep(0.01)
    if not tunnel.has_ended and PROTOCOL != "h1":
        tunnel.client.h2.increment_flow_control_window(1 << 30, tunnel.stream)
        tunnel.client.opens_windows = lambda stream: True
        tunnel.client.flush()
    while not tunnel.has_ended:
        tunnel.more()
    assert (tunnel.is_reset or instance == "h1") and len(tunnel.data) < 64 << 20, "an end in order"


def deaf():
    tunnel = open_tunnel("/deaf")
    assert tunnel.stuff() < 32 << 20, "nobody takes it, and it is taken"
    print("stuffed", flush=True)
    while not os.path.exists(ARGUMENT):
        time.sleep(0.01)
    tunnel.reset()


def goaway():
    tunnel = open_tunnel("/goaway")
    for number in range(20):
        tunnel.send(b"hello")
        assert exactly(tunnel, 5) == b"hello"
    tunnel.end()
    assert to_end(tunnel) == b""


def fields():
    tunnel = open_tunnel("/fields")
    tunnel.send(b"hello")
    while not tunnel.has_ended:
        tunnel.more()
    assert tunnel.is_reset, "an end in order"


def idle():
    tunnel = open_tunnel("/echo")
    assert to_end(tunnel) == b""


globals()[CASE]()
print("done")
