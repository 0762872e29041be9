"""Many HTTP instances in one process: SOCKET, where it takes commands as HTTP requests over a UNIX socket.

/start/NAME/ADDRESS  opens port 80 at the address; every request is answered `NAME CLIENT`, after N ms for /slow/N
/stop/NAME           closes it and resets its connections, as if it were killed; answers how many requests that broke
Prints `ready`.
"""

import asyncio
import sys


class Instance:
    def __init__(self, name):
        self.name = name
        self.writers = set()
        self.busy = 0

    async def serve(self, reader, writer):
        self.writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                self.busy += 1
                fields = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:])}
                await reader.readexactly(int(fields.get("content-length", 0)))
                target = head[0].split(" ")[1]
                if target.startswith("/slow/"):
                    await asyncio.sleep(int(target.split("/")[2]) / 1000)
                body = f"{self.name} {fields.get('x-forwarded-for', '-')}".encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                await writer.drain()
                self.busy -= 1
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    async def start(self, address):
        self.server = await asyncio.start_server(self.serve, address, 80, backlog=1024)

    def stop(self):
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()
        return self.busy


instances = {}


async def command(reader, writer):
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    verb, name, *rest = head.split(" ")[1].strip("/").split("/")
    answer = "done"
    if verb == "start":
        instances[name] = Instance(name)
        await instances[name].start(rest[0])
    else:
        answer = str(instances.pop(name).stop())
    writer.write(f"HTTP/1.0 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n{answer}".encode())
    await writer.drain()
    writer.close()


async def main():
    server = await asyncio.start_unix_server(command, sys.argv[1])
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
