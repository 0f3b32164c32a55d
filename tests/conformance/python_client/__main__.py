"""The Python client under test: the generated stubs on an asyncio loop, as a Python game uses them.

Reads commands from its standard input and writes events to its standard output; docs/conformance.md has the protocol.
"""

from __future__ import annotations

import asyncio
import os
import sys

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before grpc is imported: what matters arrives as an error

from tests.conformance.protocol import decode_line
from tests.conformance.python_client.client import Client
from tests.conformance.python_client.events import report


async def main() -> None:
    loop = asyncio.get_running_loop()
    client: Client | None = None
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command, fields = decode_line(line.rstrip("\n"))
        if command == "connect":
            client = Client(str(fields["address"]), str(fields.get("token", "")))
        elif command == "close":
            if client is not None:
                await client.close()
            client = None
            report("closed", str(fields["as"]), last=True)
        elif client is not None:
            client.obey(command, fields)


if __name__ == "__main__":
    sys.stdin.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")  # type: ignore[union-attr]
    asyncio.run(main())
