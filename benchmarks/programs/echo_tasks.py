"""asyncio's streams: 50 clients send 100 lines each to an echo server of the same loop; prints the seconds it took."""

import asyncio
import time


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def ask(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number in range(100):
        writer.write(b"line %d\n" % number)
        assert await reader.readline() == b"line %d\n" % number
    writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    began = time.perf_counter()
    await asyncio.gather(*(ask(port) for _ in range(50)))
    print(time.perf_counter() - began)
    server.close()


asyncio.run(main())
