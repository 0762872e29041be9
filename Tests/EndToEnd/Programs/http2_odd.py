"""HTTP/2 as few clients speak it: http2_odd.py PORT HOST CASE [ARGUMENT]. Ends with 0 where all is as it should be; the
last line of the output is for the caller."""

import socket
import ssl
import struct
import sys

from h2.settings import SettingCodes
from hpack import Decoder
from hyperframe.frame import ContinuationFrame, PriorityFrame, SettingsFrame, WindowUpdateFrame

from http2_client import HOST, PATIENCE, PORT, Client, Raw, pairs

CASE = sys.argv[3]
ARGUMENT = sys.argv[4] if len(sys.argv) > 4 else ""


def call():
    """A gRPC call of a caller without a clock: the path, and what it is told."""
    path, timeout = ARGUMENT.split(" ")
    client = Client()
    more = [("content-type", "application/grpc"), ("te", "trailers")]
    stream = client.request(path, "POST", more + ([("grpc-timeout", timeout)] if timeout else []), end=False)
    client.h2.send_data(stream, b"\0\0\0\0\1q", end_stream=path != "/open")
    client.flush()
    client.finish(stream)
    told = {**client.heads.get(stream, {}), **client.trailers.get(stream, {})}
    print(client.resets.get(stream, "ended"), client.bodies.get(stream, b"")[5:].decode(), told.get("grpc-status"),
          told.get("grpc-message"))


def shut_window():
    """What needs no window of the connection's comes while bodies wait for one."""
    raw, got, statuses = Raw(), {1: 0}, {}
    raw.socket.sendall(SettingsFrame(0, settings={4: 8 << 20}).serialize() + raw.head(1, "/large"))
    decoder = Decoder()
    for kind, flags, stream, payload in raw.frames():
        if kind == 1:
            statuses[stream] = dict(decoder.decode(payload))[":status"]
        if kind == 0:
            got[stream] = got.get(stream, 0) + len(payload)
        if kind == 0 and got[1] == 65535 and len(statuses) == 1:
            raw.socket.sendall(raw.head(3, "/large") + raw.head(5, "/empty"))
        if len(statuses) == 3 and got.get(3, 0) == 0 and not got.get("open"):
            got["open"] = 1
            raw.socket.sendall(WindowUpdateFrame(0, window_increment=1 << 23).serialize())
        if got[1] == got.get(3) == 4 << 20:
            break
    assert statuses == {1: "200", 3: "200", 5: "204"}, (statuses, got)


def speechless():
    """Agrees on HTTP/2 and says nothing."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    secured = context.wrap_socket(socket.create_connection(("127.0.0.1", PORT), PATIENCE), server_hostname=HOST)
    assert secured.selected_alpn_protocol() == "h2"
    data = b""
    while more := secured.recv(4096):
        data += more
    assert data[3] == 4, "settings come first"
    assert b"\0\0\x08\x07\0\0\0\0\0" in data, "a GOAWAY"


def legal():
    """What few clients do and every server has to take: padding, priorities, unknown frames and settings, a head in
    several frames, tables that shrink and grow, windows that go below nothing."""
    client = Client(window=0)
    client.h2.update_settings({SettingCodes.HEADER_TABLE_SIZE: 0})
    client.socket.sendall(
        client.h2.data_to_send() + b"\0\0\4\xb7\xff\0\0\0\0what" + b"\0\0\0\xb8\0\0\0\0\x0b"
        + PriorityFrame(3, depends_on=5, stream_weight=200).serialize()
        + b"\0\0\6\4\0\0\0\0\0" + struct.pack(">HI", 0x9A9A, 7)
        + b"\0\0\7\x10\0\0\0\0\0" + struct.pack(">I", 1) + b"u=1")
    stream = client.request("/large")
    client.until(lambda: stream in client.heads, "the head")
    assert not client.bodies[stream]
    for size, table in ((10_000, 100), (0, 1 << 16), (20_000, 4096)):
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: size, SettingCodes.HEADER_TABLE_SIZE: table})
        client.flush()
        if size:
            client.until(lambda: len(client.bodies[stream]) >= size, f"{size} octets")
        assert client.finish(client.request("/empty"))[0] == "204"
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 8 << 20})
    client.flush()
    assert client.finish(stream)[0] == "200" and len(client.bodies[stream]) == 4 << 20
    posted = client.request("/", "POST", [("content-length", "300000")], end=False)
    for number in range(3000):
        while client.h2.local_flow_control_window(posted) < 400:
            client.turn()
        client.h2.send_data(posted, b"x" * 100, end_stream=number == 2999, pad_length=number % 256)
        client.flush()
    assert client.finish(posted) == ("200", b"web")
    raw = Raw()
    block = raw.encoder.encode(pairs(more=[("x-long", "v" * 300)]))
    raw.socket.sendall(b"\0\0\0\1\1\0\0\0\1" + b"".join(
        ContinuationFrame(1, block[at:at + 100], flags=["END_HEADERS"] if at + 100 >= len(block) else []).serialize()
        for at in range(0, len(block), 100)))
    assert next(payload for kind, _, _, payload in raw.frames() if kind == 0) == b"web"


globals()[CASE]()
print("done")
