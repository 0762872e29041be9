"""The certificate of a run: ECDSA on P-256, signed by itself, for the benchmark's host."""

import dataclasses
import os
import subprocess

from . import layout
from .errors import HarnessError
from .peers import find_program, write_file


@dataclasses.dataclass(frozen=True)
class Certificate:
    """`folder` holds `chain` (NAME.crt) and `key` (NAME.key) only; `pair` is both in one file."""

    folder: str
    chain: str
    key: str
    pair: str


def make(supervisor):
    """A new key and certificate in the run's folder."""
    folder = supervisor.folder("certificates")
    chain, key = os.path.join(folder, f"{layout.HOST}.crt"), os.path.join(folder, f"{layout.HOST}.key")
    done = subprocess.run(
        [find_program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", f"/CN={layout.HOST}", "-addext", f"subjectAltName=DNS:{layout.HOST}",
         "-keyout", key, "-out", chain],
        capture_output=True, text=True, check=False, timeout=30)
    if done.returncode != 0:
        raise HarnessError(f"openssl made no certificate:\n{done.stderr[-1000:]}")
    text = ""
    for path in (chain, key):
        with open(path, encoding="ascii") as file:
            text += file.read()
    return Certificate(folder, chain, key, write_file(supervisor.folder("pair"), "pair.pem", text))
