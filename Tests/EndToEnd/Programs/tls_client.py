"""TLS clients that misbehave, or that count: tls_client.py MODE PORT [ARGUMENT]...

Every mode ends by itself and says on its last line what it saw.
"""
import os
import socket
import ssl
import sys
import threading
import time


def context(version=None, cafile=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if version:
        made.minimum_version = made.maximum_version = version
    return made


def connect(port, seconds=15):
    sock = socket.create_connection(("127.0.0.1", port), timeout=seconds)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def request(host, path="/", more=""):
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n".encode()


def read_response(stream):
    """Status and body of one answer with Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = stream.recv(65536)
        if not part:
            raise EOFError("no answer")
        data += part
    head, body = data.split(b"\r\n\r\n", 1)
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, value = line.split(b":", 1)
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        part = stream.recv(65536)
        if not part:
            raise EOFError("cut answer")
        body += part
    return int(head.split()[1]), body.decode()


def in_records(data, octets):
    """One handshake record as several."""
    body = data[5:]
    parts = [body[at : at + octets] for at in range(0, len(body), octets)]
    return b"".join(data[:3] + len(part).to_bytes(2, "big") + part for part in parts)


def slowly(port, host, piece, names="0", record="0"):
    """A whole handshake and exchange with `piece` bytes in a packet. The first message has `names` ALPN names of 200
    octets more, and comes in records of `record` octets where that is not 0."""
    piece = int(piece)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    made = context()
    made.set_alpn_protocols(["http/1.1"] + [f"{number:0200}" for number in range(int(names))])
    tls = made.wrap_bio(incoming, outgoing, server_hostname=host)
    sock = connect(port)
    is_first = True

    def flush():
        nonlocal is_first
        data = outgoing.read()
        if is_first and int(record):
            data = in_records(data, int(record))
        is_first = False
        for start in range(0, len(data), piece):
            sock.sendall(data[start : start + piece])

    def run(step):
        while True:
            try:
                result = step()
                flush()
                return result
            except ssl.SSLWantReadError:
                flush()
                data = sock.recv(65536)
                if not data:
                    raise EOFError("closed in the handshake")
                incoming.write(data)

    run(tls.do_handshake)
    run(lambda: tls.write(request(host)))
    data = run(lambda: tls.read(65536))
    print(data.split()[1].decode())


def garbage(port, text):
    """What comes back for bytes that are not TLS."""
    sock = connect(port)
    sock.sendall(text.encode().decode("unicode_escape").encode("latin-1"))
    try:
        sock.shutdown(socket.SHUT_WR)
        data = b""
        while part := sock.recv(4096):
            data += part
    except ConnectionResetError:
        pass
    print("closed", data[:1].hex())


def half(port, count):
    """Opens connections one after another without a word; says which are closed in the end."""
    socks = []
    for _ in range(int(count)):
        socks.append(connect(port))
        # Two bytes of a record: the handshake has begun.
        socks[-1].sendall(b"\x16\x03")
        time.sleep(0.02)
    print("open", flush=True)
    states = []
    for sock in socks:
        sock.settimeout(float(sys.argv[4]) if len(sys.argv) > 4 else 0.5)
        try:
            states.append("closed" if not sock.recv(1) else "data")
        except ConnectionResetError:
            states.append("closed")
        except socket.timeout:
            states.append("waiting")
    print(" ".join(states))


def ending(port, host, path):
    """Whether an answer that ends with the connection ends with close_notify."""
    tls = context().wrap_socket(connect(port), server_hostname=host, suppress_ragged_eofs=False)
    tls.sendall(f"GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
    total = 0
    try:
        while part := tls.recv(65536):
            total += len(part)
        print("orderly")
    except (ssl.SSLError, ConnectionResetError) as error:
        print("cut")


def load(port, host, threads, path):
    """Handshakes and exchanges until the file at `path` is there; counts them."""
    done, failures, lock = [0], [], threading.Lock()

    def run():
        made = context()
        while not os.path.exists(path):
            try:
                with made.wrap_socket(connect(port), server_hostname=host) as tls:
                    tls.sendall(request(host))
                    status, _ = read_response(tls)
                    if status != 200:
                        raise ValueError(f"status {status}")
                with lock:
                    done[0] += 1
            except Exception as error:  # every kind counts
                with lock:
                    failures.append(repr(error))
                if len(failures) > 20:
                    return

    workers = [threading.Thread(target=run) for _ in range(int(threads))]
    for worker in workers:
        worker.start()
    print("running", flush=True)
    for worker in workers:
        worker.join()
    print(done[0], len(failures), failures[:3])


def keep(port, host, path):
    """One connection: an exchange, then one more when the file at `path` is there."""
    tls = context().wrap_socket(connect(port), server_hostname=host)
    tls.sendall(request(host))
    print(read_response(tls)[0], flush=True)
    for _ in range(3000):
        if os.path.exists(path):
            break
        time.sleep(0.01)
    tls.sendall(request(host))
    print(read_response(tls)[0])


def goodbye(port, host, path):
    """Says the end of its own side, when the file at `path` is there, before the answer has come: octets of it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context().wrap_bio(incoming, outgoing, server_hostname=host)
    sock = connect(port)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            sock.sendall(outgoing.read())
            incoming.write(sock.recv(65536))
    tls.write(request(host, more="Connection: close\r\n"))
    sock.sendall(outgoing.read())
    print("asked", flush=True)
    for _ in range(3000):
        if os.path.exists(path):
            break
        time.sleep(0.01)
    try:
        tls.unwrap()
    except ssl.SSLWantReadError:
        pass
    sock.sendall(outgoing.read())
    print("said", flush=True)
    octets = 0
    try:
        while part := sock.recv(65536):
            octets += len(part)
    except ConnectionResetError:
        pass
    print(octets)


def alpn(port, host, offered):
    made = context()
    made.set_alpn_protocols(offered.split(","))
    try:
        tls = made.wrap_socket(connect(port), server_hostname=host)
        print(tls.selected_alpn_protocol())
    except ssl.SSLError as error:
        print("refused", error.reason)


if __name__ == "__main__":
    globals()[sys.argv[1]](int(sys.argv[2]), *([sys.argv[3]] if sys.argv[1] == "half" else sys.argv[3:]))
