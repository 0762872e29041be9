"""A gRPC server that answers grpc.health.v1: FLAG_FILE [SERVICE].

Prints its port. Serving while the file is absent, not serving while it is there; other services are unknown to it.
"""

import concurrent.futures
import os
import sys

import grpc

SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"


def main(flag, service):
    def check(request, context):
        asked = request[2:].decode() if request else ""
        if asked != service:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no service {asked!r}")
        return NOT_SERVING if os.path.exists(flag) else SERVING

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    handler = grpc.unary_unary_rpc_method_handler(check)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": handler}),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")
