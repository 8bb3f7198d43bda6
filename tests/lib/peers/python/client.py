"""Stock python-socketio, controlled by JSON lines on stdin.

It writes a line for each event of the server and for each command with an id. Bytes are encoded as
{"$bytes": base64}.
"""

import asyncio
import base64
import json
import sys

import socketio


def pack(value):
    if isinstance(value, (bytes, bytearray)):
        return {"$bytes": base64.b64encode(value).decode()}
    raise TypeError(f"{type(value).__name__} has no place in JSON")


def unpack(fields):
    return base64.b64decode(fields["$bytes"]) if "$bytes" in fields else fields


def write(**line):
    # One write per line, so that concurrent lines do not mix.
    sys.stdout.write(json.dumps(line, default=pack) + "\n")
    sys.stdout.flush()


def argument(args):
    """Returns one argument as it is, and several as a tuple, as python-socketio expects."""
    return None if not args else args[0] if len(args) == 1 else tuple(args)


async def obey(client, line):
    """Executes one line; emits keep the order of the lines."""
    command, answer = line["command"], line.get("id")
    if command == "connect":
        await client.connect(line["url"], transports=line["transports"])
        write(answer=answer, value=None)
    elif command == "ask":
        await client.emit(
            line["event"],
            argument(line["args"]),
            callback=lambda value: write(answer=answer, value=value),
        )
    elif command == "emit":
        await client.emit(line["event"], argument(line["args"]))
    elif command == "transport":
        write(answer=answer, value=client.transport())
    elif command == "close":
        await client.disconnect()
        write(answer=answer, value=None)


async def main():
    client = socketio.AsyncClient(reconnection=False)

    @client.on("*")
    async def on_any(event, *args):
        write(event=event, args=args)

    lines = asyncio.StreamReader(limit=64 * 1024 * 1024)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    while line := await lines.readline():
        await obey(client, json.loads(line, object_hook=unpack))


asyncio.run(main())
