"""HTTP/2 cases that need single frames: http2_cases.py PORT HOST CASE [ARGUMENT]. Ends with 0 where all is as it
should be; the last line of the output is for the caller."""

import os
import socket
import struct
import sys
import threading
import time

import h2.errors
import h2.settings
from hyperframe.frame import (
    ContinuationFrame, DataFrame, HeadersFrame, PingFrame, PriorityFrame, RstStreamFrame, SettingsFrame,
    WindowUpdateFrame,
)
from hpack import Encoder

from http2_client import CALM, HOST, PATIENCE, PORT, PREFACE, Client, Raw, pairs

CASE = sys.argv[3]
ARGUMENT = sys.argv[4] if len(sys.argv) > 4 else ""


def bytewise():
    client = socket.create_connection(("127.0.0.1", PORT), PATIENCE)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    raw = Raw.__new__(Raw)
    raw.encoder = Encoder()
    for byte in PREFACE + SettingsFrame(0).serialize() + raw.head(1):
        client.sendall(bytes([byte]))
    data = b""
    while b"web" not in data:
        more = client.recv(4096)
        assert more, data
        data += more


def almost_preface():
    client = socket.create_connection(("127.0.0.1", PORT), PATIENCE)
    client.sendall(b"PRI * HTTP/2.0\r\n\r\nXX")
    assert client.recv(100).startswith(b"HTTP/1.1 "), "an answer to what is no preface"


def many_streams():
    client = Client()
    streams = [client.request(f"/{number}") for number in range(100)]
    for stream in streams:
        assert client.finish(stream) == ("200", b"web"), stream
    assert client.h2.remote_settings[h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS] == 128


def trailers():
    client = Client()
    stream = client.request("/trailers", "POST", [("te", "trailers")], end=False)
    client.h2.send_data(stream, b"body")
    client.h2.send_headers(stream, [("x-sum", "4"), ("x-more", "yes")], end_stream=True)
    client.flush()
    assert client.finish(stream) == ("200", b"answer"), client.bodies
    assert client.trailers[stream] == {"grpc-status": "0"}, client.trailers


def interim():
    client = Client()
    stream = client.request("/interim", "POST", [("expect", "100-continue"), ("content-length", "2")], end=False)
    client.until(lambda: stream in client.interims, "an interim response")
    assert client.interims[stream][0][":status"] == "100", client.interims
    client.h2.send_data(stream, b"ok", end_stream=True)
    client.flush()
    assert client.finish(stream)[0] == "200"


def refused_fields():
    for more in [[("X-Upper", "1")], [("connection", "close")], [("transfer-encoding", "chunked")], [("te", "gzip")],
                 [("upgrade", "h2c")], [("x-a", "1\r\nx-b: 2")], [("x-a", "1\0")], [("x a", "1")], [("", "1")],
                 [("x-a\r\nx-b", "1")], [(":path", "/again")], [(":unknown", "1")], [("content-length", "5")],
                 [("content-length", "-1")], [("content-length", "1"), ("content-length", "2")]]:
        client = Client(checks=False)
        stream = client.request("/", more=more)
        client.until(lambda: stream in client.resets or client.goaways, f"a reset for {more}")
        assert client.resets.get(stream, 1) == 1 and stream not in client.heads, (more, client.resets)


def refused_requests():
    for head, status in [(pairs("/a#b"), "400"), (pairs("/", "CONNECT"), None), (pairs("http://other/"), None),
                         (pairs() + [("host", "other.example")], "400"), (pairs("/" + "p" * 8300), "414"),
                         (pairs(more=[("x", "v" * 15_500)]), "431"), (pairs(more=[(f"x-{i}", "1") for i in range(101)]),
                         "431")]:
        client = Client(checks=False)
        stream = client.h2.get_next_available_stream_id()
        client.h2.send_headers(stream, head, end_stream=True)
        client.flush()
        client.until(lambda: stream in client.resets or stream in client.ended, f"an end of {head}")
        assert client.heads.get(stream, {}).get(":status") == status, (head, client.heads, client.resets)
        # The connection is none the worse for it.
        assert client.finish(client.request())[0] == "200"


def refused_tunnels():
    authority = (":authority", HOST)
    tunnel = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), authority, (":path", "/")]
    for head, status in [([tunnel[0], (":protocol", "connect-udp")] + tunnel[2:], "501"),
                         (tunnel[:1] + [authority], "501"),
                         (tunnel + [("content-length", "0")], "400"), (tunnel + [("host", "other.example")], "400"),
                         (tunnel[:3] + [(":authority", "other.example"), tunnel[4]], "404"), (tunnel[:4], None),
                         ([(":method", "GET")] + tunnel[1:], None), (tunnel[:2] + tunnel[3:], None),
                         (tunnel + [("upgrade", "websocket")], None), (tunnel + [tunnel[1]], None)]:
        client = Client(checks=False)
        client.until(lambda: client.h2.remote_settings.enable_connect_protocol == 1, "the setting")
        stream = client.h2.get_next_available_stream_id()
        client.h2.send_headers(stream, head)
        client.flush()
        client.until(lambda: stream in client.resets, f"an end of {head}")
        assert client.heads.get(stream, {}).get(":status") == status, (head, client.heads, client.resets)
        assert client.resets[stream] == (1 if status is None else 0), (head, client.resets)
        assert client.finish(client.request())[0] == "200"


def logged():
    """What HTTP/2 itself refuses, each with a path of its own."""
    client = Client(checks=False)
    streams = [client.request("/upper", more=[("X-Upper", "1")]),
               client.request("/length", "POST", [("content-length", "5")]),
               client.request("/pad" + "p" * 8300), client.request("/a#b")]
    streams.append(client.request("/short", "POST", [("content-length", "5")], end=False))
    client.h2.send_data(streams[-1], b"abc", end_stream=True)
    streams.append(client.request("/trailers", "POST", end=False))
    client.h2.send_headers(streams[-1], [("connection", "close")], end_stream=True)
    streams.append(client.request("/left", "POST", end=False))
    client.flush()
    client.until(lambda: set(streams[:-1]) <= set(client.resets) | client.ended, "their ends")
    client.h2.reset_stream(streams[-1], h2.errors.ErrorCodes.CANCEL)
    client.flush()
    assert client.finish(client.request("/fine"))[0] == "200"
    # All in one packet: what is served first makes what was reset go out before the rest is looked at.
    raw = Raw()
    raw.socket.sendall(b"".join(
        raw.head(stream) + raw.head(stream + 2, "/together", end=False, more=[("content-length", "5")])
        + DataFrame(stream + 2, b"abc", flags=["END_STREAM"]).serialize() for stream in range(1, 21, 4)))
    resets = 0
    for kind, _, stream, _ in raw.frames():
        resets += kind == 3 and stream % 4 == 3
        if resets == 5:
            break


def cut_body():
    client = Client()
    stream = client.request("/cut")
    client.until(lambda: stream in client.resets, "a reset")
    assert stream not in client.ended and client.finish(client.request())[0] == "200"


def early_answer():
    client = Client()
    stream = client.request("/early", "POST", end=False)
    client.h2.send_data(stream, b"some")
    client.flush()
    client.until(lambda: stream in client.resets, "a reset behind the answer")
    assert client.heads[stream][":status"] == "200" and client.resets[stream] == 0, client.resets


def cancel():
    client = Client()
    stream = client.request("/held")
    print("sent", flush=True)
    while not os.path.exists(ARGUMENT):
        time.sleep(0.01)
    client.h2.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
    client.flush()
    assert client.finish(client.request())[0] == "200"


def slow_reader():
    """A stream that nobody reads stops no other."""
    client = Client()
    stalled = client.request("/large")
    client.opens_windows = lambda stream: stream != stalled
    client.until(lambda: len(client.bodies.get(stalled, b"")) == 65535, "a full window")
    for _ in range(3):
        stream = client.request("/large")
        assert client.finish(stream)[0] == "200" and len(client.bodies[stream]) == 4 << 20
    assert len(client.bodies[stalled]) == 65535
    client.opens_windows = lambda stream: True
    client.h2.increment_flow_control_window(1 << 30, stalled)
    client.flush()
    assert client.finish(stalled)[0] == "200" and len(client.bodies[stalled]) == 4 << 20


def slow_writer():
    """Requests whose bodies nobody takes stop no other."""
    client = Client()
    stalled = [client.request("/unread", "POST", end=False) for _ in range(3)]
    for stream in stalled:
        client.socket.settimeout(0.3)
        try:
            while True:
                while (count := min(client.h2.local_flow_control_window(stream), 16384)) > 0:
                    client.h2.send_data(stream, b"x" * count)
                    client.flush()
                client.turn()
        except TimeoutError:
            pass
        client.socket.settimeout(PATIENCE)
    assert client.finish(client.request())[0] == "200"
    stream = client.request("/", "POST", [("content-length", "5")], end=False)
    client.h2.send_data(stream, b"hello", end_stream=True)
    client.flush()
    assert client.finish(stream)[0] == "200"


def zero_window():
    client = Client(window=0)
    stream = client.request("/large")
    client.until(lambda: stream in client.resets, "a reset for want of progress")
    assert client.bodies[stream] == b"" and client.finish(client.request("/empty"))[0] == "204"


def too_many():
    client = Client()
    # The limit is not known yet: those beyond it are refused, and nothing was done for them.
    streams = [client.request("/held") for _ in range(int(ARGUMENT) + 5)]
    client.until(lambda: len(client.resets) == 5, "the refusal of those beyond the limit")
    assert set(client.resets.values()) == {h2.errors.ErrorCodes.REFUSED_STREAM}, client.resets
    assert set(client.resets) == set(streams[-5:])


def drained():
    raw = Raw()
    raw.socket.sendall(raw.head(1, "/held"))
    print("sent", flush=True)
    goaways = []
    for kind, flags, stream, payload in raw.frames():
        if kind == 6 and not flags & 1:
            raw.socket.sendall(b"\0\0\x08\x06\x01\0\0\0\0" + payload)
        elif kind == 7:
            goaways.append(struct.unpack(">II", payload[:8]))
            if len(goaways) == 2:
                print("told", flush=True)
        elif kind == 0:
            assert len(goaways) == 2 and payload == b"web" and stream == 1 and flags & 1, (goaways, payload)
    assert goaways == [(2**31 - 1, 0), (1, 0)], goaways


def idle():
    raw = Raw()
    raw.socket.sendall(raw.head(1))
    frames = list(raw.frames())
    assert [payload for kind, _, _, payload in frames if kind == 0] == [b"web"], frames
    assert frames[-1][0] == 7 and struct.unpack(">II", frames[-1][3][:8]) == (1, 0), frames


def rapid_reset():
    raw = Raw()
    code = raw.flood(lambda n: raw.head(2 * n + 1) + RstStreamFrame(2 * n + 1, error_code=8).serialize())
    assert code == CALM, code


def reset_flood():
    """Reset after reset, connection after connection, until the file appears."""
    streams = 0
    while not os.path.exists(ARGUMENT):
        raw = Raw()
        try:
            for n in range(0, 4000, 100):
                raw.socket.sendall(b"".join(
                    raw.head(2 * k + 1) + RstStreamFrame(2 * k + 1, error_code=8).serialize()
                    for k in range(n, n + 100)))
                streams += 100
        except OSError:
            pass
        raw.socket.close()
    print(streams)


def reset_storm():
    """COUNT PATTERN LENGTH: so many streams that are reset, LENGTH of them on a connection: in the packet they came in
    (`together`), or when they have begun (`begun`)."""
    count, pattern, length = ARGUMENT.split(" ")
    count, length, sent, connections, begun = int(count), int(length), 0, 0, time.monotonic()
    while sent < count:
        connections += 1
        sent += storm(Raw(), min(length, count - sent), pattern == "begun")
    seconds = time.monotonic() - begun
    print(f"{sent} streams in {seconds:.2f} s, {sent / seconds:.0f} a second, {connections} connections")


def storm(raw, count, waits):
    """Returns how many were sent before the other side had enough."""
    pongs = threading.Semaphore(0)

    def listen():
        for kind, flags, _, _ in raw.frames():
            if kind == 6 and flags & 1:
                pongs.release()
        pongs.release(1000)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    # From the second on a head is the same few octets.
    blocks = [raw.encoder.encode(pairs()) for _ in range(2)]

    def head(stream):
        block = blocks[stream > 1]
        return len(block).to_bytes(3, "big") + b"\x01\x05" + stream.to_bytes(4, "big") + block

    def reset(stream):
        return b"\0\0\x04\x03\0" + stream.to_bytes(4, "big") + b"\0\0\0\x08"

    sent, ends = 0, b""
    try:
        while sent < count and listener.is_alive():
            streams = range(2 * sent + 1, 2 * sent + 201, 2)
            if waits:
                raw.socket.sendall(
                    ends + b"".join(head(stream) for stream in streams) + PingFrame(0, b"12345678").serialize())
                pongs.acquire()
                ends = b"".join(reset(stream) for stream in streams)
            else:
                raw.socket.sendall(b"".join(head(stream) + reset(stream) for stream in streams))
            sent += 100
        # What was sent is to be heard, too, and not lost with the connection.
        raw.socket.sendall(ends + PingFrame(0, b"12345678").serialize())
        pongs.acquire()
    except OSError:
        pass
    raw.socket.close()
    return sent


def provoked_resets():
    """Resets that the client makes the other side send."""
    raw = Raw()
    code = raw.flood(lambda n: raw.head(2 * n + 1) + WindowUpdateFrame(2 * n + 1, window_increment=2**31 - 1).serialize())
    assert code == CALM, code


def ping_flood():
    raw = Raw()
    assert raw.flood(lambda n: PingFrame(0, b"12345678").serialize()) == CALM


def settings_flood():
    raw = Raw()
    assert raw.flood(lambda n: SettingsFrame(0).serialize()) == CALM


def priority_flood():
    raw = Raw()
    assert raw.flood(lambda n: PriorityFrame(2 * n + 1).serialize()) == CALM


def empty_data_flood():
    raw = Raw()
    raw.socket.sendall(raw.head(1, end=False))
    assert raw.flood(lambda n: DataFrame(1, b"").serialize()) == CALM


def padding_flood():
    raw = Raw()
    raw.socket.sendall(raw.head(1, end=False))
    assert raw.flood(lambda n: b"\0\0\1\0\x08\0\0\0\1\0") == CALM


def window_flood():
    raw = Raw()
    assert raw.flood(lambda n: WindowUpdateFrame(0, window_increment=1).serialize()) == CALM


def window_overflow():
    raw = Raw()
    raw.socket.sendall(WindowUpdateFrame(0, window_increment=2**31 - 1).serialize())
    assert raw.goaway() == h2.errors.ErrorCodes.FLOW_CONTROL_ERROR


def continuation_flood():
    raw = Raw()
    raw.socket.sendall(raw.head(1, ends_head=False))
    code = raw.flood(lambda n: ContinuationFrame(1, Encoder().encode([(f"x-{n}", "v" * 100)])).serialize(), 2_000)
    assert code == CALM, code


def head_bomb():
    raw = Raw()
    raw.socket.sendall(raw.head(1, more=[("x-bomb", "b" * 3000)]))
    # Each octet of the block is a whole field out of the table.
    bomb = HeadersFrame(3, raw.encoder.encode(pairs()) + b"\xbe" * 16000)
    bomb.flags.add("END_HEADERS")
    bomb.flags.add("END_STREAM")
    raw.socket.sendall(bomb.serialize())
    assert raw.goaway() == CALM


def head_stall():
    raw = Raw()
    raw.socket.sendall(raw.head(1, "/stall", ends_head=False))
    raw.goaway()


def refused_together():
    """Refused heads in one packet with good ones, many times."""
    for _ in range(20):
        raw, wanted, seen = Raw(), set(), {}
        data = b""
        for stream in range(1, 41, 2):
            is_bad = stream % 3 != 0
            data += raw.head(stream, more=[("connection", "close")] if is_bad else [])
            wanted.add((stream, is_bad))
        raw.socket.sendall(data)
        for kind, flags, stream, payload in raw.frames():
            if kind == 3 or kind == 0 and flags & 1:
                seen[stream] = kind == 3
            if len(seen) == len(wanted):
                break
        assert set(seen.items()) == wanted, seen


def exact_window():
    """A body without a length that fills the window: its end waits for room, and nothing else does."""
    client = Client()
    client.opens_windows = lambda stream: False
    stream = client.request("/exact")
    client.until(lambda: len(client.bodies.get(stream, b"")) == 65535, "a full window")
    for _ in range(20):
        client.opens_windows = lambda other: other != stream
        assert client.finish(client.request())[0] == "200"
    client.h2.increment_flow_control_window(1, stream)
    client.flush()
    assert client.finish(stream) == ("200", b"x" * 65535)


def after_refusal():
    """A head that was refused does not end the connection some time later."""
    raw = Raw()
    raw.socket.sendall(raw.head(1, "/held") + raw.head(3, more=[("connection", "close")]))
    frames = raw.frames()
    assert next(frame for frame in frames if frame[0] == 3)[2] == 3, "a reset"
    print("refused", flush=True)
    for kind, _, stream, payload in frames:
        assert kind != 7, f"GOAWAY {payload}"
        if kind == 0:
            assert stream == 1 and payload == b"web"
            return
    assert False, "no answer"


def cut_upstream():
    """What comes of several streams when their instance's connection ends: a line for each."""
    client = Client()
    streams = [client.request("/first"), client.request("/get")]
    for path, method, length in [("/put", "PUT", 4), ("/post", "POST", 4), ("/upload", "POST", 100)]:
        streams.append(client.h2.get_next_available_stream_id())
        client.h2.send_headers(streams[-1], pairs(path, method, [("content-length", str(length))]))
        client.h2.send_data(streams[-1], b"body", end_stream=length == 4)
    # What comes together with its head can be sent again.
    client.flush()
    for stream in streams:
        status, body = client.finish(stream)
        # A whole answer ends its stream, or is followed by a reset of what it does not wait for.
        is_whole = stream in client.ended or client.resets[stream] == 0
        assert body != b"" or not is_whole, (stream, status)
        print(status if is_whole else "cut")
    assert not client.is_closed and not client.goaways
    # One that meshd answers itself: the instance's end may still be under way.
    assert client.finish(client.request("/" + "p" * 8300))[0] == "414"


def garbage():
    raw = Raw()
    raw.socket.sendall(b"\xff" * 4000)
    assert raw.goaway() not in (None, 0)


globals()[CASE]()
print("done")
