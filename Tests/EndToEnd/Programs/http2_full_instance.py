"""An instance that takes one HTTP/2 stream at a time on each connection. Prints its port and a second one; it answers
no POST until somebody connects to that. Then it says on every connection that has one that it is about to end (GOAWAY),
answers what it has begun, and serves later connections as usual."""

import socket
import struct
import threading

import h2.config
import h2.connection
import h2.events
import h2.settings

SERVING = socket.create_server(("127.0.0.1", 0))
CONTROL = socket.create_server(("127.0.0.1", 0))
RELEASED = threading.Event()


def goaway(last):
    return struct.pack(">IBIII", 8 << 8 | 7, 0, 0, last, 0)


def serve(sock):
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    connection.initiate_connection()
    connection.update_settings({h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1})
    sock.sendall(connection.data_to_send())
    is_held = False
    while data := sock.recv(1 << 16):
        for event in connection.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                is_held = (b":method", b"POST") in event.headers and not RELEASED.is_set()
            elif isinstance(event, h2.events.StreamEnded):
                answer(sock, connection, event.stream_id, is_held)
        sock.sendall(connection.data_to_send())


def answer(sock, connection, stream, is_held):
    sock.sendall(connection.data_to_send())
    if is_held:
        RELEASED.wait()
        sock.sendall(goaway(stream))
    connection.send_headers(stream, [(":status", "200"), ("content-length", "4")])
    connection.send_data(stream, b"done", end_stream=True)


def control():
    CONTROL.accept()
    RELEASED.set()


print(SERVING.getsockname()[1], CONTROL.getsockname()[1], flush=True)
threading.Thread(target=control, daemon=True).start()
while True:
    accepted, _ = SERVING.accept()
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=serve, args=(accepted,), daemon=True).start()
