"""A journal for one command: to be run in a mount namespace of its own.

    journal.py RECORD ERRORS COMMAND [ARGUMENT]...

Listens where journald does, runs the command with its standard error in the file ERRORS and `JOURNAL_STREAM` naming
that file, and writes each entry as a line of JSON to RECORD. Passes SIGTERM on and ends as the command does.
"""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading

record, errors, command = sys.argv[1], sys.argv[2], sys.argv[3:]
os.makedirs("/run/systemd/journal", exist_ok=True)
journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
journal.bind("/run/systemd/journal/socket")


def fields(entry):
    """`KEY=VALUE\\n`, or `KEY\\n`, a length of 8 bytes, the value and `\\n` (systemd's native protocol)."""
    found = {}
    while entry:
        line, entry = entry.split(b"\n", 1)
        key, equals, value = line.partition(b"=")
        if not equals:
            (length,) = struct.unpack("<Q", entry[:8])
            value, entry = entry[8 : 8 + length], entry[8 + length + 1 :]
        found[key.decode()] = value.decode()
    return found


def serve():
    with open(record, "w") as file:
        while True:
            file.write(json.dumps(fields(journal.recv(1 << 20))) + "\n")
            file.flush()


threading.Thread(target=serve, daemon=True).start()
with open(errors, "w") as file:
    status = os.fstat(file.fileno())
    os.environ["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
    child = subprocess.Popen(command, stderr=file)
signal.signal(signal.SIGTERM, lambda *_: child.send_signal(signal.SIGTERM))
sys.exit(child.wait())
