"""gRPC calls through meshd: grpc_client.py PORT HOST CASE [ARGUMENT]. Ends with 0 where all is as it should be."""

import os
import queue
import sys
import time

import grpc

PORT, HOST, CASE = sys.argv[1], sys.argv[2], sys.argv[3]
ARGUMENT = sys.argv[4] if len(sys.argv) > 4 else ""
OPTIONS = [("grpc.default_authority", HOST), ("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)]
if CASE == "secure_kinds":
    # The certificate is its own authority.
    with open(ARGUMENT, "rb") as file:
        channel = grpc.secure_channel(
            f"127.0.0.1:{PORT}", grpc.ssl_channel_credentials(file.read()),
            options=OPTIONS + [("grpc.ssl_target_name_override", HOST)])
else:
    channel = grpc.insecure_channel(f"127.0.0.1:{PORT}", options=OPTIONS)
PATIENCE = 20


def call(kind, name):
    return getattr(channel, kind)(f"/mesh.Test/{name}")


def failure(action):
    try:
        action()
    except grpc.RpcError as error:
        return error
    raise AssertionError("no failure")


def kinds():
    answer, made = call("unary_unary", "Unary").with_call(b"abc", timeout=PATIENCE)
    assert answer == b"cba"
    assert dict(made.initial_metadata())["x-initial"] == "yes" and dict(made.trailing_metadata())["x-trailing"] == "yes"
    assert call("unary_unary", "Unary")(b"x" * 3_000_000, timeout=PATIENCE) == b"x" * 3_000_000
    assert len(list(call("unary_stream", "Count")(b"500", timeout=PATIENCE))) == 500
    assert call("stream_unary", "Total")((b"m" * 1000 for _ in range(300)), timeout=PATIENCE) == b"300000"
    assert list(call("stream_stream", "Echo")((b"%d" % n for n in range(200)), timeout=PATIENCE))[199] == b"199"
    # Each message goes both ways before the next.
    waiting = queue.Queue()
    answers = call("stream_stream", "Echo")(iter(waiting.get, None), timeout=PATIENCE)
    for number in range(50):
        waiting.put(b"%d" % number)
        assert next(answers) == b"%d" % number
    waiting.put(None)
    assert list(answers) == []
    error = failure(lambda: call("unary_unary", "Fail")(b"", timeout=PATIENCE))
    assert error.code() == grpc.StatusCode.FAILED_PRECONDITION and error.details() == "not today: 100%", error
    error = failure(lambda: call("unary_unary", "Nothing")(b"", timeout=PATIENCE))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error


def secure_kinds():
    kinds()


def status():
    """The code of one call that fails, and its details."""
    error = failure(lambda: call("unary_unary", "Unary")(b"", timeout=PATIENCE))
    print(error.code().name, error.details())


def deadline():
    start = time.monotonic()
    error = failure(lambda: call("unary_unary", "Sleep")(b"15", timeout=0.5))
    assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED and time.monotonic() - start < 10, error


def stream():
    """One call until the file appears."""
    waiting = queue.Queue()
    answers = call("stream_stream", "Echo")(iter(waiting.get, None))
    number = 0
    while not os.path.exists(ARGUMENT):
        waiting.put(b"%d" % number)
        assert next(answers) == b"%d" % number
        number += 1
        if number == 1:
            print("open", flush=True)
        time.sleep(0.002)
    waiting.put(None)
    assert list(answers) == []
    print(number)


globals()[CASE]()
print("done")
