"""An instance in one process: NAME ADDRESS [OFFSET], which is added to the ports below.

80 speaks HTTP/1.1 and answers `NAME X-FORWARDED-FOR`, after N milliseconds for /slow/N; /health says 200.
7000 expects a PROXY header of version 2, then answers each line with `NAME CLIENT LINE`.
5300 answers each datagram with `NAME DATAGRAM`.
Prints `ready` when all three are open.
"""

import asyncio
import socket
import struct
import sys

name, address = sys.argv[1], sys.argv[2]
offset = int(sys.argv[3]) if len(sys.argv) > 3 else 0


async def web(reader, writer):
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            target = head[0].split(" ")[1]
            fields = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:])}
            await reader.readexactly(int(fields.get("content-length", 0)))
            if target.startswith("/slow/"):
                await asyncio.sleep(int(target.split("/")[2]) / 1000)
            body = f"{name} {fields.get('x-forwarded-for', '-')}".encode()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, OSError):
        pass
    finally:
        writer.close()


async def lines(reader, writer):
    try:
        head = await reader.readexactly(16)
        rest = await reader.readexactly(struct.unpack(">H", head[14:])[0])
        whole = head[:13] == b"\r\n\r\n\0\r\nQUIT\n\x21" and head[13] == 0x11
        client = socket.inet_ntoa(rest[:4]) if whole else "none"
        while line := await reader.readline():
            writer.write(f"{name} {client} ".encode() + line)
            await writer.drain()
    except (asyncio.IncompleteReadError, OSError):
        pass
    finally:
        writer.close()


class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, peer):
        self.transport.sendto(name.encode() + b" " + data, peer)


async def main():
    servers = [
        await asyncio.start_server(web, address, 80 + offset, backlog=1024),
        await asyncio.start_server(lines, address, 7000 + offset, backlog=1024),
    ]
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Datagrams, local_addr=(address, 5300 + offset))
    print("ready", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main())
