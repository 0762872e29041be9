"""HTTP/2 as few clients speak it: http2_odd.py PORT HOST CASE [ARGUMENT]. Ends with 0 where all is as it should be; the
last line of the output is for the caller."""

import sys

from http2_client import Client

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


globals()[CASE]()
print("done")
