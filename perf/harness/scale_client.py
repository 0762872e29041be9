"""Finds when a change in etcd takes effect on each node. Runs as a program of its own, beside what is measured.

    scale_client.py

It prints `port P`, where the measured instance of every canary is. A line of input names a change that is about to be
made: `EVENT put|delete ADDRESS ADDRESS…`, the canary's VIP (`IP:PORT`) on each node. It connects to each, again and
again, until a connection reaches the instance (put) or does not (delete), and prints `EVENT NODE NANOSECONDS`, the
monotonic clock behind that connection, or `EVENT NODE late`. It ends with its input.
"""

import errno
import os
import select
import socket
import time

_PAUSE = 4_000_000
_PATIENCE = 5_000_000_000
_ANSWER = b"!"


class Watch:
    """One change on one node."""

    def __init__(self, event, node, address, wants_answer, now):
        self.label = f"{event} {node}"
        self.address = address
        self.wants_answer = wants_answer
        self.deadline = now + _PATIENCE
        self.next = now
        self.connection = None


class Client:
    """One loop: the instance, the connections under way, and the pauses between them."""

    def __init__(self):
        self.poll = select.epoll()
        self.instance = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.instance.setblocking(False)
        self.poll.register(self.instance, select.EPOLLIN)
        self.poll.register(0, select.EPOLLIN)
        self.under_way = {}
        self.waiting = []
        self.rest = ""
        self.is_fed = True

    def run(self):
        print("port", self.instance.getsockname()[1], flush=True)
        while self.is_fed or self.waiting or self.under_way:
            for descriptor, _ in self.poll.poll(self._patience()):
                if descriptor == 0:
                    self._read_changes()
                elif descriptor == self.instance.fileno():
                    self._answer()
                else:
                    self._finished(self.under_way.pop(descriptor))
            self._connect_due()

    def _patience(self):
        return 0.002 if self.waiting else 0.25

    def _read_changes(self):
        data = os.read(0, 1 << 16)
        *lines, self.rest = (self.rest + data.decode()).split("\n")
        for line in lines:
            self._begin(line.split())
        if not data:
            self.is_fed = False
            self.poll.unregister(0)

    def _begin(self, words):
        now = time.monotonic_ns()
        for node, address in enumerate(words[2:]):
            ip, _, port = address.rpartition(":")
            self.waiting.append(Watch(words[0], node, (ip, int(port)), words[1] == "put", now))

    def _answer(self):
        while True:
            try:
                connection, _ = self.instance.accept()
            except BlockingIOError:
                return
            connection.send(_ANSWER)
            connection.close()

    def _connect_due(self):
        now = time.monotonic_ns()
        due = [watch for watch in self.waiting if watch.next <= now]
        if due:
            self.waiting = [watch for watch in self.waiting if watch.next > now]
            for watch in due:
                self._connect(watch)

    def _connect(self, watch):
        connection = socket.socket()
        connection.setblocking(False)
        failed = connection.connect_ex(watch.address)
        if failed not in (0, errno.EINPROGRESS):
            connection.close()
            return self._judge(watch, False)
        watch.connection = connection
        self.under_way[connection.fileno()] = watch
        self.poll.register(connection, select.EPOLLIN | select.EPOLLRDHUP)

    def _finished(self, watch):
        try:
            data = watch.connection.recv(16)
        except OSError:
            data = b""
        watch.connection.close()
        self._judge(watch, data == _ANSWER)

    def _judge(self, watch, reached):
        now = time.monotonic_ns()
        if reached == watch.wants_answer:
            print(watch.label, now, flush=True)
        elif now > watch.deadline:
            print(watch.label, "late", flush=True)
        else:
            watch.next = now + _PAUSE
            self.waiting.append(watch)


if __name__ == "__main__":
    Client().run()
