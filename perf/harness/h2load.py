"""The loader for HTTP/2: one h2load thread on the loader's core."""

import dataclasses
import os
import re

from . import layout, load
from .errors import HarnessError
from .peers import find_program

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}
# The same for all servers, as in tls_load.c.
_TLS = ("--tls13-ciphers=TLS_AES_128_GCM_SHA256", "--groups=X25519")


@dataclasses.dataclass(frozen=True)
class Load:
    """`fields` are header fields; the file `post`, where there is one, is sent with POST."""

    path: str
    connections: int
    streams: int
    body_length: int
    post: str = ""
    fields: tuple = ()

    def run(self, supervisor, running, seconds):
        """Loads a peer; any error, any answer but 2xx, and any protocol but HTTP/2 end the run."""
        folder = supervisor.folder("h2load")
        times = os.path.join(folder, "times")
        is_tls = running.layout.front.certificate is not None
        argv = [
            find_program("h2load"), "-t1", f"-c{self.connections}", f"-m{self.streams}",
            f"--duration={round(seconds * 1000)}ms", f"--log-file={times}", f"--connect-to=127.0.0.1:{running.port}",
            *(_TLS if is_tls else ()),
        ]
        for name, value in self.fields:
            argv += ["-H", f"{name}: {value}"]
        if self.post:
            argv += ["-d", self.post]
        argv.append(f"{'https' if is_tls else 'http'}://{layout.HOST}{self.path}")
        try:
            text, cpu = load.execute(supervisor, "h2load", folder, argv,
                                     lambda process: load.wait_for_success(process, seconds))
            return self._outcome(text, is_tls, _latencies(times), cpu)
        except HarnessError as error:
            raise HarnessError(f"{running.name}: {error}") from error

    def _outcome(self, text, is_tls, latencies, cpu):
        if f"Application protocol: {'h2' if is_tls else 'h2c'}\n" not in text:
            raise HarnessError(f"h2load did not speak HTTP/2:\n{text[-1000:]}")
        if is_tls and "TLS Protocol: TLSv1.3\n" not in text:
            raise HarnessError(f"h2load did not speak TLS 1.3:\n{text[-1000:]}")
        failed, errored, timed_out, succeeded = (
            int(_field(rf"(\d+) {word}", text)) for word in ("failed", "errored", "timeout", "2xx"))
        done = int(_field(r"(\d+) done", text))
        if failed or errored or timed_out or succeeded < done:
            raise HarnessError(f"h2load counted errors: {failed} failed, {errored} errored, {timed_out} late, "
                               f"{done - succeeded} with another status")
        if done == 0 or not latencies:
            raise HarnessError("h2load got no answer")
        data = int(_field(r"\((\d+)\) data", text))
        if data < done * self.body_length:
            raise HarnessError(f"h2load read {data} bytes of bodies in {done} answers: too few")
        amount, unit = re.search(r"finished in ([\d.]+)(us|ms|s|m)\b", text).groups()
        return load.Outcome(done, float(amount) * _UNITS[unit], int(_field(r"\((\d+)\) total", text)),
                            _percentile(latencies, 0.5), _percentile(latencies, 0.99), cpu)


def _field(pattern, text):
    found = re.search(pattern, text)
    if not found:
        raise HarnessError(f"h2load gave no result:\n{text[-1000:]}")
    return found.group(1)


def _latencies(path):
    """The third column, in microseconds, sorted."""
    try:
        with open(path, "rb") as file:
            return sorted(int(line.split()[2]) for line in file)
    except FileNotFoundError as error:
        raise HarnessError("h2load wrote no log") from error
    finally:
        # Megabytes for each second of load: not kept for the whole run.
        if os.path.exists(path):
            os.unlink(path)


def _percentile(values, share):
    return values[min(len(values) - 1, int(share * len(values)))]
