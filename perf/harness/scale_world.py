"""What stands in etcd while scale is measured: a cluster of services, and the changes that happen to it."""

import dataclasses
import hashlib
import itertools
import json

ROOT = "/mesh"
_NODES = 1000
_CANARIES = 16


@dataclasses.dataclass(frozen=True)
class World:
    """`services` with `instances` between them, spread over a thousand nodes.

    Some services are canaries: a TCP service whose ordinary instances have the weight 0, so that nobody is picked
    until its one measured instance is there.
    """

    services: int
    instances: int

    @property
    def per_service(self):
        return self.instances // self.services

    @property
    def canaries(self):
        return [self.service(number) for number in range(min(_CANARIES, self.services // 2))]

    def service(self, number):
        return f"shop-backend-{number:05}"

    def pairs(self):
        """Every (key, value) at the start."""
        for number in range(self.services):
            is_canary = number < len(self.canaries)
            yield self._service(number, is_canary)
            for index in range(self.per_service):
                yield self.instance(number, index, weight=0 if is_canary else 1)

    def _service(self, number, is_canary):
        name = self.service(number)
        labels = {"mesh.routing.port_80": f"{name}.company.com"}
        if is_canary:
            labels["mesh.vip.80.protocol"] = "tcp"
        return f"{ROOT}/services/{name}", json.dumps({"labels": labels})

    def instance(self, number, index, weight=1):
        """An instance as a node agent announces it; nobody connects to it."""
        name = self.service(number)
        serial = number * self.per_service + index
        node = serial * 7919 % _NODES
        digest = hashlib.sha256(f"{name}/{index}".encode()).hexdigest()[:12]
        value = {"address": f"127.{64 + (serial >> 16 & 15)}.{serial >> 8 & 255}.{serial & 255}",
                 "node": f"node-{node:04}", "zone": f"zone-{node % 3}", "version": "2024.11.3", "weight": weight,
                 "verdict": "healthy"}
        return f"{ROOT}/instances/{name}/node-{node:04}-{digest}", json.dumps(value)

    def live(self, canary, port):
        """The measured instance of a canary."""
        return f"{ROOT}/instances/{canary}/live", json.dumps({"address": f"127.0.0.1:{port}", "verdict": "healthy"})

    def changes(self):
        """Without end: (key, value) of puts and (key, None) of deletes, each of another service.

        One instance of a service goes, and comes back when every service had its turn.
        """
        ordinary = range(len(self.canaries), self.services)
        for turn in itertools.count():
            for number in ordinary:
                key, value = self.instance(number, turn // 2 % self.per_service)
                yield key, None if turn % 2 == 0 else value
