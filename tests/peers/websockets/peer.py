"""A WebSocket server that echoes, and a client that checks what comes back, on the library `websockets`.

    peer.py serve PORT NAME
    peer.py call URL COUNT BYTES [HEADER:VALUE ...]
    peer.py hold URL SECONDS

`serve` answers each message with itself; the message `who` with NAME, `path` with the request's path, `bye` with a close
of code 4000. `call` sends COUNT messages of BYTES random bytes and texts in turn, a ping between them, checks each
answer, and prints `ok NAME PATH CODE`. `hold` keeps a connection open with a message each second.
"""

import asyncio
import os
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

LARGEST = 64 * 1024 * 1024


async def run_server(port, name):
    async def echo(socket):
        async for message in socket:
            if message == "who":
                await socket.send(name)
            elif message == "path":
                await socket.send(socket.request.path)
            elif message == "bye":
                await socket.close(4000, "as you wish")
                return
            else:
                await socket.send(message)

    async with serve(echo, None, port, max_size=LARGEST) as server:
        await server.serve_forever()


async def run_client(url, count, size, headers):
    async with connect(url, additional_headers=headers, max_size=LARGEST, proxy=None) as socket:
        await socket.send("who")
        name = await socket.recv()
        await socket.send("path")
        path = await socket.recv()
        for number in range(count):
            message = os.urandom(size) if number % 2 == 0 else f"{number}" * max(1, size // 8)
            await socket.send(message)
            answer = await socket.recv()
            if answer != message:
                sys.exit(f"message {number} came back changed")
            await (await socket.ping())
        await socket.send("bye")
        try:
            await socket.recv()
            sys.exit("no close after bye")
        except ConnectionClosed as closed:
            print("ok", name, path, closed.rcvd.code)


async def hold(url, seconds):
    async with connect(url, proxy=None) as socket:
        for _ in range(seconds):
            await socket.send("still there")
            if await socket.recv() != "still there":
                sys.exit("changed")
            await asyncio.sleep(1)
        print("ok")


def main(arguments):
    if arguments[:1] == ["serve"]:
        asyncio.run(run_server(int(arguments[1]), arguments[2]))
    elif arguments[:1] == ["call"]:
        headers = [tuple(header.split(":", 1)) for header in arguments[4:]]
        asyncio.run(run_client(arguments[1], int(arguments[2]), int(arguments[3]), headers))
    elif arguments[:1] == ["hold"]:
        asyncio.run(hold(arguments[1], int(arguments[2])))
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
