"""A network far away: a TCP proxy on loopback that holds every byte back for half a round trip.

python -m benchmarks.slow_network 127.0.0.1:7860 150
"""

import asyncio
import sys


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hold: float) -> None:
    """Bytes from one side to the other, each `hold` seconds later, in order."""
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    async def take_in() -> None:
        while data := await reader.read(65536):
            waiting.put_nowait((loop.time() + hold, data))
        waiting.put_nowait((loop.time() + hold, b""))

    taking = asyncio.create_task(take_in())
    try:
        while True:
            due, data = await waiting.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                break
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # the other side has gone: so does this one
    finally:
        taking.cancel()
        writer.close()


async def serve(target: str, delay_ms: float) -> None:
    host, port = target.rsplit(":", 1)
    hold = delay_ms / 2000

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        await asyncio.gather(
            _carry(reader, far_writer, hold),
            _carry(far_reader, writer, hold),
            return_exceptions=True,
        )

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    print(f"Far away: http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], float(sys.argv[2])))
