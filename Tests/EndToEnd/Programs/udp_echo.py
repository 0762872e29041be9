"""Answers each datagram with `NAME ` and the datagram: NAME PORT, 0 for any. Prints the port it listens on."""

import socket
import sys

name = sys.argv[1].encode() + b" "
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", int(sys.argv[2])))
print(server.getsockname()[1], flush=True)
while True:
    data, peer = server.recvfrom(65_536)
    server.sendto(name + data, peer)
