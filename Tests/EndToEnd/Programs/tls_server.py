"""An instance that speaks TLS: tls_server.py CERTIFICATE KEY

Says its port on the first line. Paths: /keep answers and stays, /last announces its end, /whole ends its answer with
close_notify, /cut ends it without.
"""
import socket
import ssl
import sys
import threading

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
names = {}
context.sni_callback = lambda sock, name, _: names.__setitem__(id(sock), name)


def serve(plain):
    try:
        with context.wrap_socket(plain, server_side=True, suppress_ragged_eofs=True) as tls:
            exchanges(tls)
    except (ssl.SSLError, OSError):
        pass


def exchanges(tls):
    buffered = b""
    while True:
        while b"\r\n\r\n" not in buffered:
            part = tls.recv(65536)
            if not part:
                return
            buffered += part
        head, buffered = buffered.split(b"\r\n\r\n", 1)
        path = head.split()[1].decode()
        kind = "resumed" if tls.session_reused else "new"
        body = f"{kind} {names.get(id(tls))} {path}".encode()
        if path in ("/whole", "/cut"):
            tls.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body)
            if path == "/whole":
                tls.unwrap()
            else:
                plain = socket.socket(fileno=tls.detach())
                plain.close()
            return
        close = "Connection: close\r\n" if path == "/last" else ""
        tls.sendall(f"HTTP/1.1 200 OK\r\n{close}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        if close:
            tls.unwrap()
            return


listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    accepted, _ = listener.accept()
    threading.Thread(target=serve, args=(accepted,), daemon=True).start()
