"""What is asked of meshd while its allocations are counted, and the instance that answers."""

import dataclasses
import http.client
import socket
import ssl
import struct
import threading
from typing import Callable

_TIMEOUT = 20
_MESSAGE = b"?" * 100
_LARGE = 1 << 20
_BODY = b"b" * 4096
_CHUNK = b"400\r\n" + b"c" * 1024 + b"\r\n"
_CHUNKS = _CHUNK * 4 + b"0\r\n\r\n"
_PIPELINED = 64


@dataclasses.dataclass(frozen=True)
class Load:
    """`start(session)` opens what is needed and returns a function that does one operation."""

    name: str
    operations: int
    start: Callable
    warm_up: int = 200
    on_control: bool = False
    is_logged: bool = False


class Session:
    """One scenario's connections, closed at the end."""

    def __init__(self, subject, load):
        self.subject = subject
        self._load = load
        self._open = []
        self._operation = None

    def __enter__(self):
        self._operation = self._load.start(self)
        return self

    def __exit__(self, *_):
        for connection in self._open:
            connection.close()

    def repeat(self, count):
        for _ in range(count):
            self._operation()

    def connect(self, port, kind=socket.SOCK_STREAM):
        connection = socket.socket(socket.AF_INET, kind)
        self._open.append(connection)
        connection.settimeout(_TIMEOUT)
        connection.connect(("127.0.0.1", port))
        if kind == socket.SOCK_STREAM:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def connect_secure(self, protocol="http/1.1"):
        """Over TLS 1.3, from a whole handshake."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols([protocol])
        plain = self.connect(self.subject.secure)
        connection = context.wrap_socket(plain, server_hostname="web.test")
        assert connection.selected_alpn_protocol() == protocol
        self._open[self._open.index(plain)] = connection
        return connection

    def close(self, connection):
        """Closes it and waits until meshd has too."""
        if isinstance(connection, ssl.SSLSocket):
            self._open.remove(connection)
            connection = connection.unwrap()
            self._open.append(connection)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass
        connection.close()
        self._open.remove(connection)


def _request(method="GET", path="/small", host="web.test", fields="", body=b""):
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n".encode() + body


_SMALL = _request()
_FIELDS = "".join(f"X-Field-{number}: value of field number {number}\r\n" for number in range(20))
_WITH_BODY = _request("POST", "/body", fields=f"{_FIELDS}Content-Length: {len(_BODY)}\r\n", body=_BODY)
_CHUNKED = _request("POST", "/chunked", fields="Transfer-Encoding: chunked\r\n", body=_CHUNKS)


def _http(request, status=b"200"):
    def start(session):
        reader = Reader(session.connect(session.subject.web))
        return lambda: _exchange(reader, request, status)

    return start


def _https(request):
    def start(session):
        reader = Reader(session.connect_secure())
        return lambda: _exchange(reader, request)

    return start


def _exchange(reader, request, status=b"200"):
    reader.connection.sendall(request)
    _answer(reader, status)


def _answer(reader, status=b"200"):
    head, _ = reader.message()
    assert head.split()[1] == status, head


def _many(session):
    """One request in flight on each of 16 connections; an operation is all 16."""
    readers = [Reader(session.connect(session.subject.web)) for _ in range(16)]

    def operation():
        for reader in readers:
            reader.connection.sendall(_SMALL)
        for reader in readers:
            _answer(reader)

    return operation


def _pipelined(session):
    """An operation is 64 requests sent at once and their answers."""
    reader = Reader(session.connect(session.subject.web))

    def operation():
        reader.connection.sendall(_SMALL * _PIPELINED)
        for _ in range(_PIPELINED):
            _answer(reader)

    return operation


def _new_connection(session):
    def operation():
        connection = session.connect(session.subject.web)
        _exchange(Reader(connection), _SMALL)
        session.close(connection)

    return operation


def _new_secure_connection(session):
    def operation():
        connection = session.connect_secure()
        _exchange(Reader(connection), _SMALL)
        session.close(connection)

    return operation


def _http2(connect, streams=1, body=b""):
    """An operation is so many requests at once on one connection."""

    def start(session):
        client = HTTP2(connect(session))

        def operation():
            for _ in range(streams):
                client.request(body)
            client.flush()
            for _ in range(streams):
                client.answer()

        return operation

    return start


def _clear(session):
    return session.connect(session.subject.web)


def _secure(session):
    return session.connect_secure("h2")


def _relay(session, connection, message, length):
    connection.sendall(message)
    left = length
    while left > 0:
        received = len(connection.recv(65536))
        assert received, "the relay closed"
        left -= received


def _relayed(message, length):
    def start(session):
        connection = session.connect(session.subject.relay)
        return lambda: _relay(session, connection, message, length)

    return start


def _new_relay(session):
    def operation():
        connection = session.connect(session.subject.relay)
        _relay(session, connection, _MESSAGE, len(_MESSAGE))
        session.close(connection)

    return operation


def _dns(name, code):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + labels + b"\x00\x00\x01\x00\x01"

    def start(session):
        connection = session.connect(session.subject.dns, socket.SOCK_DGRAM)

        def operation():
            connection.send(query)
            answer = connection.recv(4096)
            assert answer[3] & 15 == code and (answer[7] > 0) == (code == 0), answer

        return operation

    return start


ALL = (
    Load("keepalive", 2000, _http(_SMALL)),
    Load("many", 200, _many),
    Load("body", 2000, _http(_WITH_BODY)),
    Load("chunked", 2000, _http(_CHUNKED)),
    Load("large", 30, _http(_request(path="/large")), warm_up=10),
    Load("pipelined", 40, _pipelined, warm_up=10),
    Load("tls-keepalive", 2000, _https(_SMALL)),
    Load("tls-body", 2000, _https(_WITH_BODY)),
    Load("tls-chunked", 2000, _https(_CHUNKED)),
    Load("tls-large", 30, _https(_request(path="/large")), warm_up=10),
    Load("tls-connection", 200, _new_secure_connection, warm_up=50),
    Load("http2", 2000, _http2(_clear)),
    Load("http2-streams", 100, _http2(_clear, streams=32), warm_up=20),
    Load("http2-body", 1000, _http2(_clear, body=_BODY)),
    Load("http2-tls", 2000, _http2(_secure)),
    Load("unknown-host", 1000, _http(_request(host="stranger.example"), b"404")),
    Load("connection", 500, _new_connection),
    Load("relay", 1000, _relayed(_MESSAGE, len(_MESSAGE))),
    Load("relay-large", 30, _relayed(b"!" * len(_MESSAGE), _LARGE), warm_up=10),
    Load("relay-connection", 500, _new_relay),
    Load("dns", 1000, _dns("alias.local", 0), on_control=True),
    Load("dns-unknown", 1000, _dns("stranger.local", 3), on_control=True),
    Load("access-log", 2000, _http(_SMALL), is_logged=True),
)


class Reader:
    """Reads HTTP/1.1 messages from a connection, requests or answers."""

    def __init__(self, connection):
        self.connection = connection
        self._data = b""

    def peek(self):
        """What is there, waiting for the first byte; empty at the end."""
        return self._data or self._more(required=False)

    def message(self):
        """(head, body); the body as it came, chunks and all."""
        while b"\r\n\r\n" not in self._data:
            self._more()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        lowered = head.lower()
        if b"transfer-encoding: chunked" in lowered:
            return head, self._until(b"0\r\n\r\n")
        _, found, rest = lowered.partition(b"content-length: ")
        return head, self._take(int(rest.split(b"\r\n")[0]) if found else 0)

    def take_all(self, length):
        return self._take(length)

    def _until(self, end):
        while end not in self._data:
            self._more()
        body, _, self._data = self._data.partition(end)
        return body + end

    def _take(self, length):
        while len(self._data) < length:
            self._more()
        taken, self._data = self._data[:length], self._data[length:]
        return taken

    def _more(self, required=True):
        received = self.connection.recv(1 << 18)
        if required and not received:
            raise ConnectionError("closed under a message")
        self._data += received
        return received


class HTTP2:
    """A client's side of an HTTP/2 connection (RFC 9113) that asks for the same again and again."""

    _DATA, _HEADERS, _SETTINGS, _WINDOW_UPDATE = 0, 1, 4, 8
    _ACK, _END_STREAM, _END_HEADERS = 1, 1, 4
    # :method and :scheme of the static table, then :path and :authority, which go into the dynamic one.
    _GET, _POST = b"\x82\x86", b"\x83\x86"
    _AGAIN = b"\xbf\xbe"

    def __init__(self, connection):
        self._reader = Reader(connection)
        self._next = 1
        self._pending = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + self._frame(self._SETTINGS, 0, 0)
        self._pending += self._frame(self._WINDOW_UPDATE, 0, 0, struct.pack(">I", 1 << 30))

    @staticmethod
    def _frame(kind, flags, stream, payload=b""):
        return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload

    @staticmethod
    def _text(index, value):
        return bytes([0x40 | index, len(value)]) + value

    def request(self, body):
        path = b"/body" if body else b"/small"
        block = self._POST if body else self._GET
        block += self._AGAIN if self._next > 1 else self._text(4, path) + self._text(1, b"web.test")
        flags = self._END_HEADERS | (0 if body else self._END_STREAM)
        self._pending += self._frame(self._HEADERS, flags, self._next, block)
        if body:
            self._pending += self._frame(self._DATA, self._END_STREAM, self._next, body)
        self._next += 2

    def flush(self):
        self._reader.connection.sendall(self._pending)
        self._pending = b""

    def answer(self):
        """Reads until a stream ends."""
        while True:
            head = self._reader.take_all(9)
            kind, flags, stream = head[3], head[4], struct.unpack(">I", head[5:])[0]
            payload = self._reader.take_all(int.from_bytes(head[:3], "big"))
            if kind == self._SETTINGS and not flags & self._ACK:
                self._reader.connection.sendall(self._frame(self._SETTINGS, self._ACK, 0))
            # Status 200 is one octet of the static table.
            assert kind in (self._DATA, self._HEADERS, self._SETTINGS, self._WINDOW_UPDATE), (kind, payload)
            assert kind != self._HEADERS or payload[0] == 0x88, payload
            if stream and flags & self._END_STREAM and kind in (self._DATA, self._HEADERS):
                return


class Origin:
    """An instance on threads of the harness: HTTP by the path, and messages of 100 bytes back as they came."""

    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _serve(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reader = Reader(connection)
    with connection:
        try:
            while first := reader.peek()[:1]:
                connection.sendall(_instance_answer(reader, first))
        except OSError:
            return


def _instance_answer(reader, first):
    if first == b"?":
        return reader.take_all(len(_MESSAGE))
    if first == b"!":
        reader.take_all(len(_MESSAGE))
        return b"!" * _LARGE
    head, _ = reader.message()
    path = head.split()[1]
    if path == b"/chunked":
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + _CHUNKS
    body = {b"/small": _MESSAGE, b"/body": _BODY, b"/large": b"l" * _LARGE}[path]
    fields = _FIELDS if path == b"/body" else ""
    return f"HTTP/1.1 200 OK\r\n{fields}Content-Length: {len(body)}\r\n\r\n".encode() + body


def is_ready(admin):
    connection = http.client.HTTPConnection("127.0.0.1", admin, timeout=1)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
