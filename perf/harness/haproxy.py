"""haproxy, set up as a careful operator would."""

import re

from .peers import Peer, find_program, first_line, write_file

_GLOBAL = """global
    nbthread 1
    maxconn 20000
    no strict-limits

defaults
    mode {mode}
    maxconn 20000
    timeout connect 5s
    timeout client 1h
    timeout server 1h
"""

_HTTP_DEFAULTS = """    timeout http-request 10s
    timeout http-keep-alive 1h
    option http-keep-alive
    option forwardfor
    http-reuse always
"""


class HAProxy(Peer):
    name = "haproxy"

    def prepare(self, folder, layout, port):
        text = _GLOBAL.format(mode=layout.mode)
        if layout.mode == "http":
            text += _HTTP_DEFAULTS
        text += f"\nfrontend front\n    bind 127.0.0.1:{port}{_binding(layout.front)}\n"
        if layout.mode == "http":
            text += f"    http-request set-header X-Forwarded-Proto {layout.front.scheme}\n"
        text += _choice(folder, layout)
        for pool in layout.pools:
            text += f"\nbackend {pool.name}\n    balance roundrobin\n"
            for index, instance in enumerate(pool.ports):
                text += f"    server i{index} 127.0.0.1:{instance}{' proto h2' if layout.upstream_http2 else ''}\n"
        path = write_file(folder, "haproxy.cfg", text)
        return [find_program("haproxy"), "-db", "-q", "-f", path]

    def version(self):
        found = re.search(r"version (\S+)", first_line([find_program("haproxy"), "-v"]))
        return found.group(1) if found else "unknown"


def _binding(front):
    """What follows the listener's address."""
    if front.certificate:
        tickets = "" if front.tickets else " no-tls-tickets"
        return f" ssl crt {front.certificate.pair} alpn h2,http/1.1 ssl-min-ver TLSv1.3{tickets}"
    return " proto h2" if front.http2 else ""


def _choice(folder, layout):
    """How the frontend finds the backend: one lookup in a map of exact hosts, then the wildcards."""
    if layout.single:
        return f"    default_backend {layout.pools[0].name}\n"
    lines = [f"{host} {pool.name}\n" for pool in layout.pools for host in pool.exact_hosts]
    path = write_file(folder, "hosts.map", "".join(lines))
    text = f"    http-request set-var(txn.pool) req.hdr(host),lower,map_str({path})\n"
    text += "    use_backend %[var(txn.pool)] if { var(txn.pool) -m found }\n"
    for pool in layout.pools:
        for wildcard in pool.wildcards:
            text += f"    use_backend {pool.name} if {{ req.hdr(host),lower -m end {wildcard[1:]} }}\n"
    return text
