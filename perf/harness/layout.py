"""What a scenario asks of a proxy, without saying how a proxy is told."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Pool:
    """Instances that answer for some hosts. `hosts` may hold one-level wildcards: `*.perf.test`."""

    name: str
    hosts: tuple
    ports: tuple

    @property
    def wildcards(self):
        return tuple(host for host in self.hosts if host.startswith("*."))

    @property
    def exact_hosts(self):
        return tuple(host for host in self.hosts if not host.startswith("*."))


@dataclasses.dataclass(frozen=True)
class Front:
    """How clients speak to the proxy: over TLS 1.3 where there is a certificate (see certificate.py), with session
    tickets or without; over HTTP/2, in clear with prior knowledge, or over HTTP/1.1."""

    certificate: object = None
    tickets: bool = True
    http2: bool = False

    @property
    def scheme(self):
        return "https" if self.certificate else "http"


@dataclasses.dataclass(frozen=True)
class Layout:
    """`mode` is "http" (exchanges are balanced) or "tcp" (connections are relayed; exactly one pool).
    `upstream_http2`: the instances speak HTTP/2 in clear, and nothing else."""

    mode: str
    pools: tuple
    front: Front = Front()
    upstream_http2: bool = False

    @property
    def single(self):
        return len(self.pools) == 1


HOST = "perf.test"
HOST_COUNT = 1000
WILDCARD = f"*.{HOST}"
_POOL_COUNT = 10


def single_pool(mode, ports, front=Front(), upstream_http2=False):
    return Layout(mode, (Pool("web", (HOST,), tuple(ports)),), front, upstream_http2)


def thousand_hosts(ports):
    """1,000 exact hosts over ten pools, and a wildcard above them all that leads to the last two instances only,
    so that a check sees whether the most specific host wins."""
    pools = []
    for index in range(_POOL_COUNT):
        hosts = tuple(exact_host(number) for number in range(index, HOST_COUNT, _POOL_COUNT))
        pools.append(Pool(f"pool{index}", hosts, tuple(ports)))
    pools.append(Pool("wild", (WILDCARD,), tuple(ports[2:])))
    return Layout("http", tuple(pools))


def exact_host(number):
    return f"shop{number:04d}.{HOST}"


def wildcard_host(number):
    return f"any{number:04d}.{HOST}"
