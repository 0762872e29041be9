"""An instance that speaks HTTP/2 in clear: prints its port, then serves until it is killed. What a path does is said
below; every other path answers with what came."""

import socket
import threading

import h2.config
import h2.connection
import h2.errors
import h2.events

LISTENER = socket.create_server(("127.0.0.1", 0))
SEEN = {"connections": 0, "refused": 0}


class Served:
    def __init__(self, sock):
        SEEN["connections"] += 1
        self.socket = sock
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.heads, self.bodies, self.trailers, self.left = {}, {}, {}, {}

    def run(self):
        while True:
            self.socket.sendall(self.h2.data_to_send())
            try:
                data = self.socket.recv(1 << 16)
            except OSError:
                return
            if not data:
                return
            for event in self.h2.receive_data(data):
                if self.take(event) == "end":
                    self.socket.sendall(self.h2.data_to_send())
                    self.leave()
                    return
            for stream in list(self.left):
                self.push(stream)

    def leave(self):
        """Closing with bytes unread would reset what was just said away."""
        self.socket.shutdown(socket.SHUT_WR)
        self.socket.settimeout(5)
        try:
            while self.socket.recv(65536):
                pass
        except OSError:
            pass
        self.socket.close()

    def take(self, event):
        if isinstance(event, h2.events.RequestReceived):
            stream = event.stream_id
            self.heads[stream], self.bodies[stream] = dict(event.headers), b""
            return self.begun(stream, self.heads[stream][":path"])
        if isinstance(event, h2.events.DataReceived):
            self.bodies[event.stream_id] += event.data
            if event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            self.trailers[event.stream_id] = dict(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            if event.stream_id in self.heads:
                return self.answer(event.stream_id, self.heads[event.stream_id][":path"])
        elif isinstance(event, h2.events.StreamReset):
            self.left.pop(event.stream_id, None)
            self.heads.pop(event.stream_id, None)
        return None

    def begun(self, stream, path):
        if path == "/refused" and not SEEN["refused"]:
            SEEN["refused"] = 1
            self.h2.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
            del self.heads[stream]
        elif path == "/goaway" and SEEN["connections"] == 1:
            self.h2.close_connection(last_stream_id=stream - 2 if stream > 2 else 0)
            return "end"
        elif path == "/interim":
            self.h2.send_headers(stream, [(":status", "103"), ("link", "</a>")])
        elif path == "/bidi":
            self.h2.send_headers(stream, [(":status", "200")])
        return None

    def answer(self, stream, path):
        head, body = self.heads[stream], self.bodies[stream]
        if path == "/reset":
            self.h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
            return None
        if path == "/cut":
            self.h2.send_headers(stream, [(":status", "200"), ("content-length", "100")])
            self.h2.send_data(stream, b"part")
            self.h2.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
            return None
        if path == "/silent":
            return None
        if path == "/invalid":
            self.h2.config.validate_outbound_headers = self.h2.config.normalize_outbound_headers = False
            self.h2.send_headers(stream, [(":status", "200"), ("X-Upper", "1")], end_stream=True)
            self.h2.config.validate_outbound_headers = self.h2.config.normalize_outbound_headers = True
            return None
        if path == "/status":
            self.h2.send_headers(stream, [(":status", "999")], end_stream=True)
            return None
        if path == "/empty":
            self.h2.send_headers(stream, [(":status", "204")], end_stream=True)
            return None
        fields = [(":status", "200"), ("x-method", head[":method"]), ("x-scheme", head[":scheme"]),
                  ("x-authority", head.get(":authority", "")), ("x-te", head.get("te", "")),
                  ("x-trailers", ",".join(f"{k}={v}" for k, v in self.trailers.get(stream, {}).items())),
                  ("x-connections", str(SEEN["connections"])), ("set-cookie", "a=1"), ("set-cookie", "b=2")]
        if path == "/bidi":
            fields = []
        elif path != "/trailers":
            fields.append(("content-length", str(len(body))))
        if fields:
            self.h2.send_headers(stream, fields, end_stream=not body and path != "/trailers")
        self.left[stream] = (body, [("grpc-status", "0")] if path == "/trailers" else None)
        if not body and path != "/trailers" and fields:
            del self.left[stream]
        return None

    def push(self, stream):
        body, trailers = self.left[stream]
        while body:
            count = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size, len(body))
            if count <= 0:
                break
            self.h2.send_data(stream, body[:count], end_stream=count == len(body) and not trailers)
            body = body[count:]
        if body:
            self.left[stream] = (body, trailers)
            return
        if trailers:
            self.h2.send_headers(stream, trailers, end_stream=True)
        del self.left[stream]


print(LISTENER.getsockname()[1], flush=True)
while True:
    accepted, _ = LISTENER.accept()
    accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=lambda: Served(accepted).run(), daemon=True).start()
