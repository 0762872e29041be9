"""TLS clients that are slow, silent or hostile: tls_abuse.py MODE PORT [ARGUMENT]...

Every mode ends by itself and says on its last line what it saw.
"""
import socket
import ssl
import sys

HOST = "web.example"


def connect(port, receive_buffer=None):
    sock = socket.socket()
    sock.settimeout(20)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.connect(("127.0.0.1", port))
    return sock


def context(version="1.3"):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if version == "1.2":
        made.maximum_version = ssl.TLSVersion.TLSv1_2
    return made


def request(path, more=""):
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{more}\r\n".encode()


def slow(port, version, piece, count):
    """Takes the numbers below `count`, 16 digits each, in small pieces; then asks for something small."""
    tls = context(version).wrap_socket(connect(port, 4096), server_hostname=HOST)
    tls.sendall(request("/big"))
    data = b""
    while b"\r\n\r\n" not in data:
        data += tls.recv(int(piece))
    _, _, data = data.partition(b"\r\n\r\n")
    parts, total = [data], len(data)
    while total < 16 * int(count):
        part = tls.recv(int(piece))
        if not part:
            print("cut after", total)
            return
        parts.append(part)
        total += len(part)
    whole = b"".join(parts)
    expected = b"".join(b"%016x" % number for number in range(int(count)))
    if whole != expected:
        at = next(i for i in range(len(whole)) if whole[i] != expected[i])
        print("differs at", at)
        return
    tls.sendall(request("/small", "Connection: close\r\n"))
    answer = b""
    while part := tls.recv(65536):
        answer += part
    print("whole", answer.rsplit(b"\r\n", 1)[1].decode())


def leave(port, version):
    """Goes away in the middle of a large answer."""
    tls = context(version).wrap_socket(connect(port, 4096), server_hostname=HOST)
    tls.sendall(request("/big"))
    taken = 0
    while taken < 100_000:
        taken += len(tls.recv(5000))
    tls.close()
    print("left")


def established(port, version):
    """A connection whose handshake is over, without a layer that would frame what is sent: (socket, state)."""
    sock = connect(port)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context(version).wrap_bio(incoming, outgoing, server_hostname=HOST)
    while True:
        try:
            tls.do_handshake()
            sock.sendall(outgoing.read())
            return sock, tls, outgoing
        except ssl.SSLWantReadError:
            sock.sendall(outgoing.read())
            incoming.write(sock.recv(65536))


def closed(sock):
    """Whether the other side ends the connection, whatever it says before."""
    try:
        while sock.recv(65536):
            pass
    except ConnectionResetError:
        pass
    except socket.timeout:
        return "open"
    return "closed"


def record(port, version, hexadecimal, count):
    """What becomes of a connection after a record's head and `count` octets of nonsense."""
    sock, _, _ = established(port, version)
    try:
        sock.sendall(bytes.fromhex(hexadecimal) + b"\x55" * int(count))
    except OSError:
        pass
    print(closed(sock))


def silent(port, count):
    """Says hello, hears the answer, and says nothing more, on several connections."""
    socks = []
    for _ in range(int(count)):
        sock = connect(port)
        outgoing = ssl.MemoryBIO()
        tls = context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=HOST)
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            sock.sendall(outgoing.read())
        assert sock.recv(1) == b"\x16", "no answer to the hello"
        socks.append(sock)
    print(" ".join(closed(sock) for sock in socks))


if __name__ == "__main__":
    globals()[sys.argv[1]](int(sys.argv[2]), *sys.argv[3:])
