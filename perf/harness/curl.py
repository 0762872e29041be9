"""Asks a proxy over HTTP/2 with curl: is it HTTP/2, is the answer right, are all instances reached?"""

import subprocess

from . import grpc, layout, origins
from .errors import HarnessError
from .peers import find_program

_TRIES = 64
_INSTANCES = range(1, origins.COUNT + 1)


def check_http2(running, path):
    """Every answer must be byte for byte an instance's own, over HTTP/2, and all four must have answered."""
    _check(running, path, (), lambda number: (origins.small_body(number), b""))


def check_grpc(running, question):
    """The same for a unary call (the file `question` is its message), with `grpc-status: 0` in the trailers."""
    options = ["--data-binary", f"@{question}"]
    for name, value in grpc.FIELDS:
        options += ["-H", f"{name}: {value}"]
    _check(running, grpc.PATH, options, lambda number: (grpc.answer(number), b"grpc-status: 0"))


def _check(running, path, options, wanted):
    seen = set()
    for port in running.ports:
        for _ in range(_TRIES if running.peer.has_process else 1):
            seen.add(_right_answer(running, port, path, options, wanted))
            if len(seen) == origins.COUNT:
                break
    if seen != set(_INSTANCES):
        raise HarnessError(f"{running.name}: {path} reached instances {sorted(seen)} only")


def _right_answer(running, port, path, options, wanted):
    head, _, rest = _ask(running, port, path, options).partition(b"\r\n\r\n")
    status = head.split(b"\r\n")[0].strip()
    if status != b"HTTP/2 200":
        raise HarnessError(f"{running.name}: {path}: {status!r}, not HTTP/2 with status 200")
    for number in _INSTANCES:
        body, trailer = wanted(number)
        if rest.startswith(body) and rest[len(body):].strip() == trailer:
            return number
    raise HarnessError(f"{running.name}: {path}: {rest[:300]!r} is no instance's answer")


def _ask(running, port, path, options):
    """One request on a connection of its own: head, body and trailers as curl prints them."""
    certificate = running.layout.front.certificate
    if certificate:
        scheme, protocol = "https", ["--http2", "--tlsv1.3", "--cacert", certificate.chain]
    else:
        scheme, protocol = "http", ["--http2-prior-knowledge"]
    done = subprocess.run(
        [find_program("curl"), "--silent", "--show-error", "--include", "--max-time", "10", "--noproxy", "*",
         "--resolve", f"{layout.HOST}:{port}:127.0.0.1", "-H", f"Host: {layout.HOST}", *protocol, *options,
         f"{scheme}://{layout.HOST}:{port}{path}"],
        capture_output=True, check=False, timeout=20)
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip()
        raise HarnessError(f"{running.name}: {path}: no answer over HTTP/2: {reason}")
    return done.stdout
