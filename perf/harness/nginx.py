"""nginx, set up as a careful operator would; also the shell of the instances' configuration."""

import os
import re
import resource

from .errors import HarnessError
from .peers import Peer, find_program, first_line, write_file

_MODULES = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules")

_HTTP = """http {{
    access_log off;
    default_type text/plain;
    sendfile on;
    keepalive_timeout 3600s;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server_names_hash_max_size 8192;
    server_names_hash_bucket_size 128;
{inner}
}}
"""

_PROXY = """            proxy_pass http://{pool};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto {scheme};
"""

_GRPC = """            grpc_pass grpc://{pool};
            grpc_set_header Host $host;
            grpc_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            grpc_set_header X-Forwarded-Proto {scheme};
"""

_TLS = """        ssl_certificate {chain};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.3;
        ssl_session_cache off;
        ssl_session_tickets {tickets};
"""


def stream_module():
    """The directive that loads the stream module; Debian ships it as a file of its own."""
    for folder in _MODULES:
        path = os.path.join(folder, "ngx_stream_module.so")
        if os.path.exists(path):
            return f"load_module {path};\n"
    raise HarnessError("nginx's stream module is not installed: run perf/install")


def command(folder, blocks, preamble=""):
    """Writes a configuration with one worker and returns the command line."""
    user = "user root root;\n" if os.geteuid() == 0 else ""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    text = (
        f"{preamble}{user}daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\n"
        f"error_log {folder}/error.log warn;\nworker_rlimit_nofile {limit};\n"
        f"events {{ worker_connections 20000; }}\n{blocks}"
    )
    path = write_file(folder, "nginx.conf", text)
    return [find_program("nginx"), "-p", folder, "-e", f"{folder}/error.log", "-c", path]


def http_block(folder, inner):
    return _HTTP.format(folder=folder, inner=inner)


class Nginx(Peer):
    name = "nginx"

    def prepare(self, folder, layout, port):
        if layout.mode == "tcp":
            return command(folder, _stream(layout.pools[0], port), stream_module())
        return command(folder, http_block(folder, _http(layout, port)))

    def version(self):
        found = re.search(r"nginx/(\S+)", first_line([find_program("nginx"), "-v"]))
        return found.group(1) if found else "unknown"


def _servers(pool):
    return "".join(f"        server 127.0.0.1:{port};\n" for port in pool.ports)


def _http(layout, port):
    text = ""
    front = layout.front
    passing = _GRPC if layout.upstream_http2 else _PROXY
    kind = (" ssl" if front.certificate else "") + (" http2" if front.http2 else "")
    for index, pool in enumerate(layout.pools):
        text += f"    upstream {pool.name} {{\n{_servers(pool)}"
        # As many as requests in flight: 16 × 32 streams need a connection each.
        text += "        keepalive 512;\n        keepalive_requests 1000000000;\n    }\n"
        default = " default_server backlog=4096" if layout.single else " backlog=4096" if index == 0 else ""
        text += f"    server {{\n        listen 127.0.0.1:{port}{kind}{default};\n{_tls(front)}"
        text += f"        server_name {' '.join(pool.hosts)};\n"
        text += f"        location / {{\n{passing.format(pool=pool.name, scheme=front.scheme)}        }}\n    }}\n"
    if not layout.single:
        text += f"    server {{\n        listen 127.0.0.1:{port} default_server;\n        return 404;\n    }}\n"
    return text


def _tls(front):
    if front.certificate is None:
        return ""
    return _TLS.format(chain=front.certificate.chain, key=front.certificate.key,
                       tickets="on" if front.tickets else "off")


def _stream(pool, port):
    return (
        f"stream {{\n    access_log off;\n    upstream {pool.name} {{\n{_servers(pool)}    }}\n"
        f"    server {{\n        listen 127.0.0.1:{port} backlog=4096;\n        proxy_pass {pool.name};\n"
        "        proxy_connect_timeout 5s;\n        proxy_timeout 1h;\n    }\n}\n"
    )
