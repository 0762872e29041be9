"""python3-h2 takes GOAWAY for the end of the connection, which it is not: streams that were begun go on."""

PREFACE_LENGTH = 24


class Goaways:
    """Takes the octets of a connection's reader, gives whole frames back without GOAWAY."""

    def __init__(self, is_server):
        self.data, self.rest, self.count = b"", PREFACE_LENGTH if is_server else 0, 0

    def without(self, data):
        self.data += data
        passed = bytearray()
        if self.rest:
            if len(self.data) < self.rest:
                return b""
            passed, self.data, self.rest = bytearray(self.data[:self.rest]), self.data[self.rest:], 0
        position = 0
        while len(self.data) - position >= 9:
            end = position + 9 + int.from_bytes(self.data[position:position + 3], "big")
            if end > len(self.data):
                break
            if self.data[position + 3] == 7:
                self.count += 1
            else:
                passed += self.data[position:end]
            position = end
        self.data = self.data[position:]
        return bytes(passed)
