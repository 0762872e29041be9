"""Talks to a WebSocket echo until a file appears: PORT HOST STOP_FILE.

Prints `open` when the connection stands, and at the end the number of messages that came back as they were sent.
"""

import asyncio
import os
import random
import sys
import time

import websockets

LONGEST_SECONDS = 60
SIZES = (0, 1, 125, 126, 65_535, 65_536, 300_000)


async def main(port, host, stop_file):
    draw = random.Random(1)
    deadline = time.monotonic() + LONGEST_SECONDS
    url = f"ws://{host}:{port}/chat"
    async with websockets.connect(url, host="127.0.0.1", port=port, max_size=1 << 22) as connection:
        print("open", flush=True)
        count = 0
        while not os.path.exists(stop_file):
            message = draw.randbytes(draw.choice(SIZES))
            await connection.send(message)
            if await connection.recv() != message:
                sys.exit("another message came back")
            count += 1
            if time.monotonic() > deadline:
                sys.exit("nobody stopped it")
    print(count, flush=True)


asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
