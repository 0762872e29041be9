"""A real etcd of one member, and its JSON API, as an operator would use it."""

import base64
import http.client
import itertools
import json
import os

from .errors import HarnessError
from .peers import find_program, first_line
from .ports import free_ports

_BATCH = 128  # etcd's own limit of operations in one transaction
_TIMEOUT = 20


class Etcd:
    """One member with a store of its own; ends with the supervisor."""

    def __init__(self, supervisor, core):
        folder = supervisor.folder("etcd")
        client, peer = free_ports(2)
        url, peers = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
        self.port = client
        self._supervisor = supervisor
        self.process = supervisor.start("etcd", [
            find_program("etcd"), "--data-dir", os.path.join(folder, "data"), "--log-level", "error",
            "--listen-client-urls", url, "--advertise-client-urls", url, "--listen-peer-urls", peers,
            "--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}",
        ], core, folder)
        self.process.wait_until(self._answers, "readiness")
        self.api = EtcdAPI(client)

    @staticmethod
    def version():
        return first_line([find_program("etcd"), "--version"]).removeprefix("etcd Version: ")

    def _answers(self):
        try:
            EtcdAPI(self.port).revision()
            return True
        except (OSError, http.client.HTTPException, HarnessError):
            return False

    def stop(self):
        self._supervisor.stop(self.process)


class EtcdAPI:
    """A connection to a member; of one thread."""

    def __init__(self, port):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)

    def _call(self, path, body):
        self._connection.request("POST", path, json.dumps(body))
        response = self._connection.getresponse()
        text = response.read()
        if response.status != 200:
            raise HarnessError(f"etcd answers {path} with {response.status}: {text[:200]!r}")
        return json.loads(text)

    def revision(self):
        return int(self._call("/v3/kv/range", {"key": _encode("x"), "count_only": True})["header"]["revision"])

    def put(self, key, value):
        """Returns the revision."""
        return int(self._call("/v3/kv/put", {"key": _encode(key), "value": _encode(value)})["header"]["revision"])

    def delete(self, key):
        return int(self._call("/v3/kv/deleterange", {"key": _encode(key)})["header"]["revision"])

    def put_all(self, pairs):
        """Puts (key, value) pairs in transactions as large as etcd takes."""
        pairs = iter(pairs)
        while batch := list(itertools.islice(pairs, _BATCH)):
            self._call("/v3/kv/txn", {"success": [
                {"request_put": {"key": _encode(key), "value": _encode(value)}} for key, value in batch]})

    def get(self, prefix):
        """{key: value} of what is below the prefix."""
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        found = self._call("/v3/kv/range", {"key": _encode(prefix), "range_end": _encode(end)}).get("kvs", [])
        return {_decode(item["key"]): _decode(item.get("value", "")) for item in found}


def _encode(text):
    return base64.b64encode(text.encode()).decode()


def _decode(text):
    return base64.b64decode(text).decode()
