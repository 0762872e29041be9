"""An instance whose every path is a tunnel:

    tunnel_instance.py h1|h2|h2s|h2-none [NAME=VALUE]...

Prints its port, then a line for each tunnel that ends: its path, how it ended and the octets it brought. `h2s` is HTTP/2
over TLS with the files `certificate` and `key`, `h2-none` does not take extended CONNECT. `streams` is how many a
connection takes.

/chat     sends WebSocket messages back
/echo     sends bytes back, ends when the other side has
/count    says how many bytes came, at their end
/bye      says `bye` and ends its side at once
/flood    sends 4 MiB and ends its side; /endless sends 64 MiB
/deaf     reads nothing
/silent   never answers
/refuse   403; /fail closes without an answer; /break is reset with the first bytes
/plain    200 and no upgrade, /accept a wrong key (HTTP/1.1)
/goaway   says GOAWAY with the first bytes and goes on; /fields sends a second header block (HTTP/2)
"""

import socket
import ssl
import struct
import sys
import threading
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

import websocket_frames
from http2_goaways import Goaways

LISTENER = socket.create_server(("127.0.0.1", 0))
PROTOCOL = sys.argv[1]
OPTIONS = dict(word.split("=", 1) for word in sys.argv[2:])
SCHEME = "https" if PROTOCOL == "h2s" else "http"
FLOOD = bytes(range(256)) * (16 << 10)


class Tunnel:
    """What one path does with the bytes; `send` and `end` are the connection's."""

    def __init__(self, path, send, end):
        self.path, self.send, self.end = path, send, end
        self.count, self.messages = 0, websocket_frames.Messages()

    def opened(self):
        if self.path == "/bye":
            self.send(b"bye")
            self.end()
        elif self.path == "/flood":
            self.send(FLOOD)
            self.end()

        elif self.path == "/endless":
            self.send(FLOOD * 16)

    def came(self, data):
        self.count += len(data)
        if self.path in ("/echo", "/goaway"):
            self.send(data)
        elif self.path == "/chat":
            for message in self.messages.feed(data):
                if message is not None:
                    self.send(websocket_frames.frame(message, False))

    def ended(self, how):
        if how == "end":
            if self.path == "/count":
                self.send(f"after {self.count}".encode())
            if self.path not in ("/bye", "/flood"):
                self.end()
        print(self.path, how, self.count, flush=True)


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def serve_h1(sock):
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(1 << 16)
        if not more:
            return sock.close()
        data += more
    head, rest = data.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    fields = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines[1:])}
    path = lines[0].split(" ")[1]
    if "upgrade" not in fields.get("connection", "").lower() or fields.get("upgrade") != "websocket":
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nweb\n")
        return sock.close()
    assert lines[0].startswith("GET ") and fields["sec-websocket-version"] == "13", head
    answer = websocket_frames.accept(fields["sec-websocket-key"])
    if path == "/refuse":
        sock.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
        return sock.close()
    if path == "/plain":
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain")
        return sock.close()
    if path == "/fail":
        return sock.close()
    if path == "/accept":
        answer = websocket_frames.accept("another")
    tunnel = Tunnel(path, sock.sendall, lambda: sock.shutdown(socket.SHUT_WR))
    if path != "/silent":
        sock.sendall(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                     f"Sec-WebSocket-Accept: {answer}\r\nSec-WebSocket-Protocol: test\r\n\r\n".encode())
    how = "end"
    try:
        tunnel.opened()
        if rest:
            tunnel.came(rest)
        if path == "/deaf":
            time.sleep(600)
        while more := sock.recv(1 << 16):
            tunnel.came(more)
            if path == "/break":
                return reset(sock)
        tunnel.ended("end")
    except OSError:
        tunnel.ended("reset")
    sock.close()


class H2Connection:
    def __init__(self, sock):
        self.socket = sock
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        values = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: int(OPTIONS.get("streams", "100"))}
        if PROTOCOL != "h2-none":
            values[h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL] = 1
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values=values)
        self.h2.initiate_connection()
        self.tunnels, self.left, self.ends, self.goaways = {}, {}, set(), Goaways(True)

    def run(self):
        while True:
            try:
                self.socket.sendall(self.h2.data_to_send())
                data = self.socket.recv(1 << 16)
            except OSError:
                data = b""
            if not data:
                for tunnel in self.tunnels.values():
                    tunnel.ended("lost")
                return self.socket.close()
            for event in self.h2.receive_data(self.goaways.without(data)):
                self.take(event)
            for stream in list(self.left):
                self.push(stream)

    def take(self, event):
        stream = getattr(event, "stream_id", None)
        if isinstance(event, h2.events.RequestReceived):
            self.begin(stream, dict(event.headers), event.headers)
        elif isinstance(event, h2.events.DataReceived):
            tunnel = self.tunnels.get(stream)
            if tunnel and tunnel.path == "/deaf":
                return
            if event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, stream)
            if tunnel is None:
                return
            if tunnel.path == "/break":
                self.h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
                del self.tunnels[stream]
            elif tunnel.path == "/fields":
                # python3-h2 would not send it.
                self.socket.sendall(self.h2.data_to_send() + self.h2_fields(stream))
            else:
                if tunnel.path == "/goaway":
                    # What closes the connection for python3-h2 is a frame like any other here.
                    self.socket.sendall(self.h2.data_to_send() + b"\0\0\x08\x07\0" + bytes(4)
                                        + stream.to_bytes(4, "big") + bytes(4))
                tunnel.came(event.data)
        elif isinstance(event, h2.events.StreamEnded):
            if stream in self.tunnels:
                self.tunnels.pop(stream).ended("end")
        elif isinstance(event, h2.events.StreamReset):
            self.left.pop(stream, None)
            if stream in self.tunnels:
                self.tunnels.pop(stream).ended("reset")

    def h2_fields(self, stream):
        block = self.h2.encoder.encode([("x-late", "1")])
        return len(block).to_bytes(3, "big") + b"\x01\x05" + stream.to_bytes(4, "big") + block

    def begin(self, stream, head, fields):
        if head[":method"] != "CONNECT":
            self.h2.send_headers(stream, [(":status", "200")])
            return self.h2.send_data(stream, b"web\n", end_stream=True)
        names = [name for name, _ in fields]
        assert PROTOCOL != "h2-none" and head[":protocol"] == "websocket" and head[":scheme"] == SCHEME, head
        assert head["sec-websocket-version"] == "13", head
        assert not {"sec-websocket-key", "connection", "upgrade"} & set(names), head
        path = head[":path"]
        tunnel = Tunnel(path, lambda data: self.send(stream, data), lambda: self.end(stream))
        if path == "/refuse":
            self.h2.send_headers(stream, [(":status", "403"), ("content-length", "2")])
            return self.h2.send_data(stream, b"no", end_stream=True)
        if path == "/fail":
            return self.h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
        self.tunnels[stream] = tunnel
        if path != "/silent":
            self.h2.send_headers(stream, [(":status", "200"), ("sec-websocket-protocol", "test")])
            tunnel.opened()

    def send(self, stream, data):
        self.left[stream] = self.left.get(stream, b"") + data
        self.push(stream)

    def end(self, stream):
        self.ends.add(stream)
        self.left.setdefault(stream, b"")
        self.push(stream)

    def push(self, stream):
        data = self.left.pop(stream)
        try:
            while data:
                count = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(data))
                if count <= 0:
                    self.left[stream] = data
                    return
                self.h2.send_data(stream, data[:count])
                data = data[count:]
            if stream in self.ends:
                self.ends.discard(stream)
                self.h2.end_stream(stream)
        except h2.exceptions.ProtocolError:
            # A reset came with what is answered here; its event is still to be taken.
            self.ends.discard(stream)


def serve_h2s(sock):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(OPTIONS["certificate"], OPTIONS["key"])
    context.set_alpn_protocols(["h2"])
    sock = context.wrap_socket(sock, server_side=True)
    assert sock.selected_alpn_protocol() == "h2", sock.selected_alpn_protocol()
    H2Connection(sock).run()


SERVE = {"h1": serve_h1, "h2s": serve_h2s}.get(PROTOCOL, lambda sock: H2Connection(sock).run())
print(LISTENER.getsockname()[1], flush=True)
while True:
    accepted, _ = LISTENER.accept()
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=SERVE, args=(accepted,), daemon=True).start()
