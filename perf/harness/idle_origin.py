"""An instance that answers each message of 100 bytes with 100 bytes and holds the connection.

    idle_origin.py INSTANCE

A program of its own: four of them share the descriptors that thousands of relayed connections need. It prints its port.
"""

import selectors
import socket
import sys


def main():
    answer = f"instance {sys.argv[1]} ".ljust(100, ".").encode()
    selector = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setblocking(False)
    selector.register(listener, selectors.EVENT_READ)
    print(listener.getsockname()[1], flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                accept_all(listener, selector)
            else:
                serve(key.fileobj, selector, answer)


def accept_all(listener, selector):
    while True:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ, None)


def serve(connection, selector, answer):
    """The messages are small and come one at a time: each is read whole."""
    try:
        data = connection.recv(4096)
    except BlockingIOError:
        return
    except ConnectionError:
        data = b""
    if data:
        connection.sendall(answer)
    else:
        selector.unregister(connection)
        connection.close()


if __name__ == "__main__":
    main()
