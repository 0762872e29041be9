"""Load of many kinds at once: STATE STREAM..., each stream NAME,KIND,SOURCE,ADDRESS,PORT.

A stream sends one request after another, from an address of its own, and has at most one in flight. Kinds:
http     HTTP requests on one connection
fresh    HTTP requests, each on a connection of its own
post     as http, with requests that nobody may repeat and that take 20 ms
relayed  the same, each on a connection of its own; who answers need not know who asked
plain    as fresh; who answers need not know who asked
session  lines on one TCP connection that stays
udp      datagrams of one flow

STATE is a file with what was counted so far, as JSON, replaced twenty times a second until SIGTERM. A failure holds the
monotonic times at which its connection was opened, the request began and failed, and what went wrong.
"""

import json
import os
import signal
import socket
import sys
import threading
import time

PAUSE = 0.003
is_stopping = False


def stop(*_):
    # A plain flag: an Event must not be set by a signal that may come while it is waited for.
    global is_stopping
    is_stopping = True


signal.signal(signal.SIGTERM, stop)


class Stream(threading.Thread):
    def __init__(self, text):
        super().__init__(daemon=True)
        self.label, self.kind, self.source, self.address, port = text.split(",")
        self.port = int(port)
        self.connection = None
        self.opened = 0.0
        self.buffer = b""
        self.number = 0
        self.good = 0
        self.instances = {}
        self.failures = []

    def run(self):
        while not is_stopping:
            began = time.monotonic()
            try:
                name = self.exchange()
            except (OSError, ValueError) as error:
                self.failures.append([self.opened, began, time.monotonic(), f"{type(error).__name__} {error}"])
                self.drop()
                time.sleep(0.02)
            else:
                self.good += 1
                self.instances[name] = self.instances.get(name, 0) + 1
            time.sleep(PAUSE)
        self.drop()

    def drop(self):
        if self.connection:
            self.connection.close()
        self.connection = None
        self.buffer = b""

    def open(self):
        if self.connection:
            return
        self.opened = time.monotonic()
        kind = socket.SOCK_DGRAM if self.kind == "udp" else socket.SOCK_STREAM
        self.connection = socket.socket(socket.AF_INET, kind)
        self.connection.settimeout(1 if self.kind == "udp" else 60)
        self.connection.bind((self.source, 0))
        self.connection.connect((self.address, self.port))

    def exchange(self):
        self.open()
        self.number += 1
        if self.kind == "udp":
            return self.datagram()
        if self.kind == "session":
            self.connection.sendall(f"line {self.number}\n".encode())
            return self.checked(self.read_until(b"\n"), f"line {self.number}")
        is_brief = self.kind in ("fresh", "plain", "relayed")
        close = "Connection: close\r\n" if is_brief else ""
        is_post = self.kind in ("post", "relayed")
        start = f"POST /slow/20/{self.number}" if is_post else f"GET /{self.number}"
        length, content = ("Content-Length: 4\r\n", "body") if is_post else ("", "")
        request = f"{start} HTTP/1.1\r\nHost: web.company.com\r\n{close}{length}\r\n{content}"
        self.connection.sendall(request.encode())
        head = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        fields = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:])}
        body = self.read(int(fields["content-length"]))
        if not head[0].startswith("HTTP/1.1 200"):
            raise ValueError(f"{head[0]} {fields.get('proxy-status', '')}")
        if is_brief or fields.get("connection") == "close":
            self.drop()
        return self.checked(body, "")

    def datagram(self):
        text = f"datagram {self.number}"
        self.connection.send(text.encode())
        while True:
            # An answer to an earlier one that was given up is not this one's.
            answer = self.connection.recv(2048).decode()
            if answer.endswith(f" {text}"):
                return answer.split(" ")[0]

    def checked(self, answer, ending):
        """The name of the instance that answered. HTTP and lines also say who asked."""
        text = answer.decode()
        name, _, rest = text.partition(" ")
        knows = self.kind in ("plain", "relayed") or rest.split(" ")[0] == self.source
        if not knows or not text.rstrip("\n").endswith(ending):
            raise ValueError(f"answer {text!r} to {self.source}")
        return name

    def fill(self):
        data = self.connection.recv(65536)
        if not data:
            raise ValueError("closed")
        self.buffer += data

    def read_until(self, mark):
        while mark not in self.buffer:
            self.fill()
        found, _, self.buffer = self.buffer.partition(mark)
        return found

    def read(self, count):
        while len(self.buffer) < count:
            self.fill()
        found, self.buffer = self.buffer[:count], self.buffer[count:]
        return found


def tell(path, streams):
    state = [
        {"name": s.label, "good": s.good, "instances": dict(s.instances), "failures": list(s.failures)}
        for s in streams
    ]
    with open(path + ".new", "w") as file:
        json.dump(state, file)
    os.rename(path + ".new", path)


streams = [Stream(text) for text in sys.argv[2:]]
for stream in streams:
    stream.start()
while not is_stopping:
    time.sleep(0.05)
    tell(sys.argv[1], streams)
for stream in streams:
    stream.join(5)
tell(sys.argv[1], streams)
