"""Envoy, set up as a careful operator would. Its program comes from PyPI: see perf/install."""

import json
import os
import pathlib
import re
import shutil

from .errors import HarnessError
from .peers import Peer, first_line, write_file

_PROGRAM = pathlib.Path(__file__).resolve().parent.parent.parent / ".build/peers/envoy/_bin/envoy"
_CONNECTIONS = 20000
_EXTENSIONS = "type.googleapis.com/envoy.extensions."
_MANAGER = _EXTENSIONS + "filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = _EXTENSIONS + "filters.http.router.v3.Router"
_RELAY = _EXTENSIONS + "filters.network.tcp_proxy.v3.TcpProxy"
_TLS = _EXTENSIONS + "transport_sockets.tls.v3.DownstreamTlsContext"
_UPSTREAM = _EXTENSIONS + "upstreams.http.v3.HttpProtocolOptions"


def program():
    """Where perf/install put Envoy, or where PATH has it; None where it is not installed."""
    return str(_PROGRAM) if os.access(_PROGRAM, os.X_OK) else shutil.which("envoy")


class Envoy(Peer):
    name = "envoy"

    def __init__(self):
        self._program = program()
        if self._program is None:
            raise HarnessError("envoy is not installed: run perf/install")

    def prepare(self, folder, layout, port):
        bootstrap = {
            "static_resources": {
                "listeners": [_listener(layout, port)],
                "clusters": [_cluster(pool, layout) for pool in layout.pools],
            },
        }
        path = write_file(folder, "envoy.json", json.dumps(bootstrap, indent=1))
        return [self._program, "-c", path, "--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]

    def version(self):
        found = re.search(r"/(\d+\.\d+\.\d+)", first_line([self._program, "--version"]))
        return found.group(1) if found else "unknown"


def _address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _listener(layout, port):
    relay = {"@type": _RELAY, "stat_prefix": "front", "cluster": layout.pools[0].name, "idle_timeout": "3600s"}
    named = ("envoy.filters.network.tcp_proxy", relay) if layout.mode == "tcp" else (
        "envoy.filters.network.http_connection_manager", _manager(layout))
    chain = {"filters": [{"name": named[0], "typed_config": named[1]}]}
    if layout.front.certificate:
        chain["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": _tls(layout.front)}
    return {"address": _address(port), "tcp_backlog_size": 4096, "filter_chains": [chain]}


def _tls(front):
    pair = {"certificate_chain": {"filename": front.certificate.chain},
            "private_key": {"filename": front.certificate.key}}
    versions = {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3"}
    return {
        "@type": _TLS,
        "disable_stateless_session_resumption": not front.tickets,
        "disable_stateful_session_resumption": not front.tickets,
        "common_tls_context": {"alpn_protocols": ["h2", "http/1.1"], "tls_params": versions,
                               "tls_certificates": [pair]},
    }


def _manager(layout):
    hosts = [
        {"name": pool.name, "domains": list(pool.hosts),
         "routes": [{"match": {"prefix": "/"}, "route": {"cluster": pool.name}}]}
        for pool in layout.pools
    ]
    return {
        "@type": _MANAGER,
        "stat_prefix": "front",
        "use_remote_address": True,
        "generate_request_id": False,
        "stream_idle_timeout": "0s",
        "common_http_protocol_options": {"idle_timeout": "3600s"},
        "route_config": {"virtual_hosts": hosts},
        "http_filters": [{"name": "envoy.filters.http.router",
                          "typed_config": {"@type": _ROUTER, "suppress_envoy_headers": True}}],
    }


def _cluster(pool, layout):
    endpoints = [{"endpoint": {"address": _address(port)}} for port in pool.ports]
    limits = {"max_connections": _CONNECTIONS, "max_pending_requests": _CONNECTIONS, "max_requests": _CONNECTIONS}
    protocol = "http2_protocol_options" if layout.upstream_http2 else "http_protocol_options"
    return {
        "name": pool.name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "lb_policy": "ROUND_ROBIN",
        "load_assignment": {"cluster_name": pool.name, "endpoints": [{"lb_endpoints": endpoints}]},
        "circuit_breakers": {"thresholds": [limits]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions":
                {"@type": _UPSTREAM, "explicit_http_config": {protocol: {}}},
        },
    }
