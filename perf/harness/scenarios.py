"""The scenarios: what is measured. arrangement.py says how each is set up, rounds.py how it is run."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Scenario:
    """`kind` is "load" or "idle" (held connections); `bulk` also reports CPU time per GiB.

    `tls` and `http2` are what clients speak; with `grpc` instances speak HTTP/2 too. With `tls` and `close` each
    request needs a handshake: a resumed one where there are `tickets`, a full one where there are none.
    """

    name: str
    title: str
    mode: str
    kind: str = "load"
    path: str = "/"
    connections: int = 64
    close: bool = False
    many_hosts: bool = False
    bulk: bool = False
    idle_connections: int = 0
    tls: bool = False
    tickets: bool = True
    http2: bool = False
    grpc: bool = False


ALL = (
    Scenario("keepalive", "HTTP/1.1 keep-alive, 100-byte bodies, 64 connections", "http"),
    Scenario("newconn", "HTTP/1.1, a new client connection for each request, 64 at a time", "http", close=True),
    Scenario("body1m", "HTTP/1.1 keep-alive, 1 MiB bodies, 16 connections", "http",
             path="/large", connections=16, bulk=True),
    Scenario("hosts1000", "1,000 hosts and a wildcard, another Host in each request, 64 connections", "http",
             many_hosts=True),
    Scenario("tcp-small", "TCP relay, 100-byte answers, 64 connections", "tcp"),
    Scenario("tcp-conn", "TCP relay, a new connection for each request, 64 at a time", "tcp", close=True),
    Scenario("tcp-bulk", "TCP relay, 1 MiB answers, 16 connections", "tcp",
             path="/large", connections=16, bulk=True),
    Scenario("tls-keepalive", "TLS 1.3, HTTP/1.1 keep-alive, 100-byte bodies, 64 connections", "http", tls=True),
    Scenario("tls-full", "TLS 1.3, a new connection with a full handshake for each request, 64 at a time", "http",
             tls=True, close=True, tickets=False),
    Scenario("tls-resumed", "TLS 1.3, a new connection with a resumed session for each request, 64 at a time", "http",
             tls=True, close=True),
    Scenario("h2-tls", "HTTP/2 over TLS 1.3, 100-byte bodies, 16 connections with 32 streams each", "http",
             connections=16, tls=True, http2=True),
    Scenario("h2-clear", "HTTP/2 in clear, 100-byte bodies, 16 connections with 32 streams each", "http",
             connections=16, http2=True),
    Scenario("grpc", "Unary gRPC calls, HTTP/2 in clear on both sides, 16 connections with 32 streams each", "http",
             connections=16, http2=True, grpc=True),
    Scenario("idle-http", "idle HTTP/1.1 client connections after one request each", "http",
             kind="idle", idle_connections=15000),
    Scenario("idle-tcp", "idle relayed TCP pairs after one message each", "tcp",
             kind="idle", idle_connections=7000),
    Scenario("idle-tls", "idle TLS 1.3 client connections after one request each", "http",
             kind="idle", idle_connections=5000, tls=True),
)


@dataclasses.dataclass
class Settings:
    """How long and how often; `spare_rounds` may replace rounds that other programs disturbed."""

    rounds: int
    spare_rounds: int
    seconds: float
    idle_limit: int
