"""An instance that speaks HTTP/2 in clear and whose first connection ends in the middle:

    http2_cuts.py MODE COUNT [FILE]

Prints its port, then a line for every request that has come. When COUNT streams are open on the first connection it
does what MODE says; every other connection answers with path and method. `/warm` is answered at once, `/upload` is open
with its head alone.

fin, rst     ends the connection, in order or not; accept: before anything was read
partial      sends half of a head; head: a head, body: a head and a part of the body, of the first stream
full         answers all of them, then ends the connection
garbage      sends what is no HTTP/2
goaway       takes the first stream only and answers it; goaway_fin: then ends the connection instead
calm         takes none, for a reason, and ends the connection
idle         ends the connection when FILE is there
"""

import os
import socket
import struct
import sys
import threading

import h2.config
import h2.connection
import h2.events

LISTENER = socket.create_server(("127.0.0.1", 0))
MODE, COUNT = sys.argv[1], int(sys.argv[2])
NO_ERROR, CALM = 0, 11


def goaway(last, code):
    return b"\0\0\x08\x07\0" + bytes(4) + last.to_bytes(4, "big") + code.to_bytes(4, "big")


class Served:
    def __init__(self, sock, is_first):
        self.socket, self.is_first = sock, is_first
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.heads, self.open = {}, []

    def run(self):
        if self.is_first and MODE == "accept":
            return self.socket.close()
        while True:
            self.flush()
            data = self.read()
            if not data:
                return self.socket.close()
            for event in self.h2.receive_data(data):
                self.take(event)
            if self.is_first and len(self.open) == COUNT:
                self.is_first = False
                if not self.cut(sorted(self.open)):
                    return

    def read(self):
        if not self.is_first or MODE != "idle":
            try:
                return self.socket.recv(1 << 16)
            except OSError:
                return b""
        self.socket.settimeout(0.01)
        while not os.path.exists(sys.argv[3]):
            try:
                return self.socket.recv(1 << 16)
            except TimeoutError:
                pass
        self.socket.close()
        print("closed", flush=True)
        return b""

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def take(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.heads[event.stream_id] = dict(event.headers)
            if self.heads[event.stream_id][":path"] == "/upload":
                self.came(event.stream_id)
        elif isinstance(event, h2.events.DataReceived):
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            if self.heads[event.stream_id][":path"] != "/upload":
                self.came(event.stream_id)

    def came(self, stream):
        path = self.heads[stream][":path"]
        if path == "/warm" or not self.is_first:
            return self.answer(stream)
        self.open.append(stream)
        print(path, flush=True)

    def answer(self, stream):
        head = self.heads[stream]
        body = f"{head[':method']} {head[':path']}".encode()
        self.h2.send_headers(stream, [(":status", "200"), ("content-length", str(len(body)))])
        self.h2.send_data(stream, body, end_stream=True)

    def cut(self, streams):
        """Whether the connection goes on."""
        first, last_words = streams[0], b""
        if MODE in ("partial", "head", "body"):
            self.h2.send_headers(first, [(":status", "200"), ("content-length", "100")])
            if MODE == "body":
                self.h2.send_data(first, b"ten octets")
            last_words = self.h2.data_to_send()
            if MODE == "partial":
                last_words = last_words[:len(last_words) // 2]
        elif MODE == "full":
            for stream in streams:
                self.answer(stream)
            last_words = self.h2.data_to_send()
        elif MODE == "garbage":
            self.socket.sendall(b"\xff" * 100)
            return True
        elif MODE.startswith("goaway"):
            last_words = goaway(first, NO_ERROR)
        elif MODE == "calm":
            last_words = goaway(0, CALM)
        self.socket.sendall(last_words)
        if MODE == "goaway":
            self.answer(first)
            return True
        if MODE == "rst":
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            self.socket.shutdown(socket.SHUT_WR)
        self.socket.close()
        return False


print(LISTENER.getsockname()[1], flush=True)
connections = 0
while True:
    accepted, _ = LISTENER.accept()
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connections += 1
    threading.Thread(target=Served(accepted, connections == 1).run, daemon=True).start()
