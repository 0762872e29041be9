"""The little of WebSocket (RFC 6455) that the tests need: messages of one frame, and the answer to a key."""

import base64
import hashlib
import os
import struct


def accept(key):
    return base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


def frame(message, masked):
    count = len(message)
    if count < 126:
        head = bytes([0x82, count | masked << 7])
    elif count < 1 << 16:
        head = bytes([0x82, 126 | masked << 7]) + struct.pack(">H", count)
    else:
        head = bytes([0x82, 127 | masked << 7]) + struct.pack(">Q", count)
    if not masked:
        return head + message
    key = os.urandom(4)
    return head + key + unmask(message, key)


def unmask(message, key):
    stream = (key * (len(message) // 4 + 1))[:len(message)]
    return (int.from_bytes(message, "big") ^ int.from_bytes(stream, "big")).to_bytes(len(message), "big")


class Messages:
    """Takes bytes, gives whole messages; `None` for a close frame."""

    def __init__(self):
        self.data = b""

    def feed(self, data):
        self.data += data
        found = []
        while (message := self.next()) is not False:
            found.append(message)
        return found

    def next(self):
        if len(self.data) < 2:
            return False
        code, masked, count, start = self.data[0] & 15, self.data[1] >> 7, self.data[1] & 127, 2
        if count == 126:
            start = 4
        elif count == 127:
            start = 10
        if len(self.data) < start + 4 * masked:
            return False
        if count > 125:
            count = int.from_bytes(self.data[2:start], "big")
        key, start = self.data[start:start + 4], start + 4 * masked
        if len(self.data) < start + count:
            return False
        message, self.data = self.data[start:start + count], self.data[start + count:]
        if code == 8:
            return None
        return unmask(message, key) if masked else message
