"""How a scenario is set up: the layout, the instances, the load, and what must be true before it is measured."""

import random

from . import certificate, checks, curl, grpc, h2load, layout, origins, tls_load, wrk
from .peers import write_file

_STREAMS = 32
_WILDCARD_HOSTS = 100


class Arrangement:
    """`origins` are the instances that answer; `load` is None where connections are only held."""

    def __init__(self, scenario, supervisor, instances):
        self._supervisor = supervisor
        self._scenario = scenario
        self._question = ""
        self.origins = grpc.GRPCOrigins(supervisor) if scenario.grpc else instances
        self._stop_origins = scenario.grpc
        self.layout = self._layout()
        self.load = self._load() if scenario.kind == "load" else None

    def check(self, running):
        """Ends the run unless the peer gives right answers, from all instances, over the protocol that is measured."""
        scenario = self._scenario
        if scenario.grpc:
            curl.check_grpc(running, self._question)
        elif scenario.http2:
            curl.check_http2(running, scenario.path)
        elif scenario.many_hosts:
            checks.check_hosts(running)
        else:
            # A relay balances connections, so only new ones reach every instance.
            checks.check_answers(running, scenario.path, keep_alive=scenario.mode == "http" and not scenario.close)

    def stop(self):
        if self._stop_origins:
            self.origins.stop()

    def _layout(self):
        scenario = self._scenario
        if scenario.many_hosts:
            return layout.thousand_hosts(self.origins.ports)
        pair = certificate.make(self._supervisor) if scenario.tls else None
        front = layout.Front(pair, scenario.tickets, scenario.http2)
        return layout.single_pool(scenario.mode, self.origins.ports, front, scenario.grpc)

    def _load(self):
        scenario = self._scenario
        if scenario.grpc:
            self._question = _question_file(self._supervisor)
            return h2load.Load(grpc.PATH, scenario.connections, _STREAMS, len(grpc.answer(1)), self._question,
                               grpc.FIELDS)
        length = origins.LARGE_LENGTH if scenario.bulk else origins.SMALL_LENGTH
        if scenario.http2:
            return h2load.Load(scenario.path, scenario.connections, _STREAMS, length)
        if scenario.tls:
            mode = ("resumed" if scenario.tickets else "full") if scenario.close else "keepalive"
            return tls_load.Load(tls_load.build(self._supervisor), scenario.path, scenario.connections, mode, length)
        hosts = _hosts_file(self._supervisor) if scenario.many_hosts else ""
        return wrk.Load(scenario.path, layout.HOST, scenario.connections, scenario.close, hosts, length)


def _question_file(supervisor):
    """The message that each call sends."""
    path = f"{supervisor.folder('question')}/message"
    with open(path, "wb") as file:
        file.write(grpc.question())
    return path


def _hosts_file(supervisor):
    """The Host values in the order they are sent: all exact ones and a tenth as many of the wildcard, mixed."""
    hosts = [layout.exact_host(number) for number in range(layout.HOST_COUNT)]
    hosts += [layout.wildcard_host(number) for number in range(_WILDCARD_HOSTS)]
    random.Random(1).shuffle(hosts)
    return write_file(supervisor.folder("hosts"), "hosts.txt", "".join(host + "\n" for host in hosts))
