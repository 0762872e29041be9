"""Is the answer right, and does it come from every instance? Asked before anything is measured."""

import http.client
import ssl

from . import layout, origins
from .errors import HarnessError

_TRIES = 64
_ALL = frozenset(range(1, origins.COUNT + 1))


class _TLSConnection(http.client.HTTPConnection):
    """TLS 1.3 to 127.0.0.1 under the benchmark's name, the certificate verified."""

    def __init__(self, port, chain):
        super().__init__("127.0.0.1", port, timeout=10)
        self._context = ssl.create_default_context(cafile=chain)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_3
        self._context.set_alpn_protocols(["http/1.1"])

    def connect(self):
        super().connect()
        self.sock = self._context.wrap_socket(self.sock, server_hostname=layout.HOST)


def _connection(running, port):
    certificate = running.layout.front.certificate
    if certificate:
        return _TLSConnection(port, certificate.chain)
    return http.client.HTTPConnection("127.0.0.1", port, timeout=10)


def ask(running, port, path, host, close=False, connection=None):
    """One GET; returns (status, X-Instance or None, body)."""
    own = connection is None
    connection = connection or _connection(running, port)
    try:
        headers = {"Host": host}
        if close:
            headers["Connection"] = "close"
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.getheader("X-Instance"), response.read()
    except (OSError, http.client.HTTPException) as error:
        raise HarnessError(f"{running.name}: {host}{path}: {error!r}") from error
    finally:
        if own:
            connection.close()


def check_answers(running, path, host=layout.HOST, expected=_ALL, keep_alive=True):
    """Every answer must be byte for byte an instance's own, and all `expected` instances must have answered,
    over one connection (`keep_alive`) or over a new one each time."""
    seen = set()
    for port in running.ports:
        connection = _connection(running, port) if keep_alive else None
        for _ in range(_TRIES if running.peer.has_process else 1):
            seen.add(_right_answer(running, port, path, host, connection))
            if seen == expected:
                break
        if connection:
            connection.close()
    if seen != expected:
        raise HarnessError(f"{running.name}: {host}{path} reached instances {sorted(seen)}, not {sorted(expected)}")


def _right_answer(running, port, path, host, connection):
    status, instance, body = ask(running, port, path, host, connection is None, connection)
    if status != 200 or instance not in {str(number) for number in _ALL}:
        raise HarnessError(f"{running.name}: {host}{path}: status {status}, X-Instance {instance}, {body[:80]!r}")
    number = int(instance)
    wanted = origins.large_body(number) if path == "/large" else origins.small_body(number)
    if body != wanted:
        raise HarnessError(f"{running.name}: {host}{path}: {len(body)} bytes are not instance {number}'s answer")
    return number


def check_hosts(running):
    """Exact hosts reach all instances, other hosts of the wildcard only its own two, strangers none."""
    if not running.peer.has_process:
        check_answers(running, "/")
        return
    for number in (0, 1, layout.HOST_COUNT // 2, layout.HOST_COUNT - 1):
        check_answers(running, "/", layout.exact_host(number))
    for number in (0, 1):
        check_answers(running, "/", layout.wildcard_host(number), frozenset((3, 4)))
    status, _, _ = ask(running, running.port, "/", "stranger.example")
    if status == 200:
        raise HarnessError(f"{running.name}: an unknown host was answered with 200")
