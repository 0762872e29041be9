"""Clients of HTTP/2 for cases that need single frames: the real state machine of python3-h2, and bare frames. Port and
host are the program's first two arguments; `h2s` as the third is for TLS."""

import socket
import ssl
import struct
import sys
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
from hyperframe.frame import HeadersFrame, SettingsFrame
from hpack import Encoder

PORT, HOST = int(sys.argv[1]), sys.argv[2]
SECURE = sys.argv[3:4] == ["h2s"]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATIENCE = 20
CALM = h2.errors.ErrorCodes.ENHANCE_YOUR_CALM


def pairs(path="/", method="GET", more=()):
    scheme = "https" if SECURE else "http"
    return [(":method", method), (":scheme", scheme), (":authority", HOST), (":path", path)] + list(more)


def connect():
    sock = socket.create_connection(("127.0.0.1", PORT), PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not SECURE:
        return sock
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    sock = context.wrap_socket(sock, server_hostname=HOST)
    assert sock.selected_alpn_protocol() == "h2", sock.selected_alpn_protocol()
    return sock


class Client:
    """A connection with the real state machine of python3-h2."""

    def __init__(self, window=65535, checks=True):
        self.socket = connect()
        config = h2.config.H2Configuration(
            header_encoding="utf-8", validate_outbound_headers=checks, normalize_outbound_headers=checks)
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        if window != 65535:
            self.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window})
        self.events = []
        self.heads, self.bodies, self.trailers = {}, {}, {}
        self.interims, self.ended, self.resets, self.goaways = {}, set(), {}, []
        self.is_closed = False
        self.opens_windows = lambda stream: True
        self.filter = lambda data: data
        self.flush()

    def flush(self):
        data = self.h2.data_to_send()
        if data:
            self.socket.sendall(data)

    def request(self, path="/", method="GET", more=(), end=True):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream, pairs(path, method, more), end_stream=end)
        self.flush()
        return stream

    def turn(self):
        """Reads once and notes what came."""
        try:
            data = self.socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        if not data:
            self.is_closed = True
            return
        for event in self.h2.receive_data(self.filter(data)):
            stream = getattr(event, "stream_id", None)
            if isinstance(event, h2.events.ResponseReceived):
                self.heads[stream] = dict(event.headers)
                self.bodies.setdefault(stream, b"")
            elif isinstance(event, h2.events.InformationalResponseReceived):
                self.interims.setdefault(stream, []).append(dict(event.headers))
            elif isinstance(event, h2.events.DataReceived):
                self.bodies[stream] = self.bodies.get(stream, b"") + event.data
                if self.opens_windows(stream) and event.flow_controlled_length:
                    self.h2.increment_flow_control_window(event.flow_controlled_length)
                    try:
                        self.h2.increment_flow_control_window(event.flow_controlled_length, stream)
                    except Exception:
                        pass
                elif event.flow_controlled_length:
                    self.h2.increment_flow_control_window(event.flow_controlled_length)
            elif isinstance(event, h2.events.TrailersReceived):
                self.trailers[stream] = dict(event.headers)
            elif isinstance(event, h2.events.StreamEnded):
                self.ended.add(stream)
            elif isinstance(event, h2.events.StreamReset):
                self.resets[stream] = event.error_code
            elif isinstance(event, h2.events.ConnectionTerminated):
                self.goaways.append((event.error_code, event.last_stream_id))
        self.flush()

    def until(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert not self.is_closed, f"closed before {what}; goaways {self.goaways}"
            assert time.monotonic() < deadline, f"no {what}"
            self.turn()

    def finish(self, stream):
        self.until(lambda: stream in self.ended or stream in self.resets, f"end of stream {stream}")
        return self.heads.get(stream, {}).get(":status"), self.bodies.get(stream)


class Raw:
    """Frames as they are, and the GOAWAY that comes of them."""

    def __init__(self):
        self.socket = socket.create_connection(("127.0.0.1", PORT), PATIENCE)
        self.encoder = Encoder()
        self.socket.sendall(PREFACE + SettingsFrame(0).serialize())

    def head(self, stream, path="/", end=True, more=(), ends_head=True):
        frame = HeadersFrame(stream, self.encoder.encode(pairs(path, more=more)))
        if ends_head:
            frame.flags.add("END_HEADERS")
        if end:
            frame.flags.add("END_STREAM")
        return frame.serialize()

    def frames(self):
        """Kind, flags, stream and payload of each frame until the connection ends."""
        data = b""
        while True:
            try:
                more = self.socket.recv(1 << 16)
            except ConnectionResetError:
                return
            if not more:
                return
            data += more
            while len(data) >= 9:
                length = struct.unpack(">I", b"\0" + data[:3])[0]
                if len(data) < 9 + length:
                    break
                yield data[3], data[4], struct.unpack(">I", data[5:9])[0], data[9:9 + length]
                data = data[9 + length:]

    def goaway(self):
        """The error code of the last GOAWAY before the end of the connection; None where it ends without."""
        code = None
        for kind, _, _, payload in self.frames():
            if kind == 7:
                code = struct.unpack(">I", payload[4:8])[0]
        return code

    def flood(self, make, count=200_000, batch=200):
        """Sends make(number) until the other side has had enough; returns the GOAWAY's code."""
        try:
            for start in range(0, count, batch):
                self.socket.sendall(b"".join(make(number) for number in range(start, start + batch)))
        except OSError:
            pass
        return self.goaway()
