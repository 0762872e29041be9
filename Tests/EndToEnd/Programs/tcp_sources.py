"""Connects from many loopback addresses: ADDRESS PORT COUNT ROUNDS.

Prints one line for each source address: the first lines that its connections were greeted with, joined by spaces.
"""

import socket
import sys

address, port, count, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
for number in range(count):
    source = f"127.77.{number // 250}.{1 + number % 250}"
    seen = []
    for _ in range(rounds):
        with socket.create_connection((address, port), timeout=10, source_address=(source, 0)) as connection:
            seen.append(connection.makefile().readline().strip())
    print(source, *seen)
