"""ComfyUI's side of its protocol, after https://docs.comfy.org/development/comfyui-server/comms_routes and
…/comms_messages and the traffic of its own example clients: routes, messages, their order and their fields.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from websockets.server import ServerProtocol

from tests.pictures.http_server import Request, Response, http_server, json_response
from tests.pictures.scripted_painter import grey_png

PROMPT_ID = "6f962d0e-40d9-45e8-b378-7247258cadde"
OUT_OF_MEMORY = "Allocation on device 0 would exceed allowed memory. (out of memory)"


class RecordedComfyUi:
    """What it is to do is in its attributes; what it was asked for is in ``requests``."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.checkpoints = ["old.ckpt", "dreamy_v1.safetensors", "sd_xl_turbo_1.0_fp16.safetensors"]
        self.picture = grey_png()
        self.outputs: dict[str, Any] = {
            "picture": {"images": [{"filename": "ComfyUI_temp_abcde_00001_.png", "subfolder": "", "type": "temp"}]}
        }
        self.prompt_error: dict[str, Any] | None = None
        self.failure: tuple[str, dict[str, Any]] | None = None
        self.closes_while_painting = False
        self.hold = asyncio.Event()  # cleared: stay after the first step
        self.hold.set()
        self.queued = asyncio.Event()
        self.running: list[str] = []

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        async with http_server(self._answer, self._socket) as url:
            yield url

    def asked(self, method: str, path: str) -> list[Request]:
        return [request for request in self.requests if (request.method, request.path) == (method, path)]

    @property
    def workflow(self) -> dict[str, Any]:
        workflow: dict[str, Any] = self.asked("POST", "/prompt")[-1].json["prompt"]
        return workflow

    async def _answer(self, request: Request) -> Response:
        self.requests.append(request)
        match (request.method, request.path):
            case ("GET", "/system_stats"):
                return json_response({"system": {"os": "posix", "comfyui_version": "0.3.71"}, "devices": []})
            case ("GET", "/models/checkpoints"):
                return json_response(self.checkpoints)
            case ("POST", "/prompt"):
                if self.prompt_error is not None:
                    return json_response(self.prompt_error, status=400)
                self.queued.set()
                return json_response({"prompt_id": PROMPT_ID, "number": 3, "node_errors": {}})
            case ("GET", "/queue"):
                running = [[3, prompt_id, {}, {}, ["picture"]] for prompt_id in self.running]
                return json_response({"queue_running": running, "queue_pending": []})
            case ("POST", "/queue" | "/interrupt"):
                return Response(b"")
            case ("GET", path) if path == f"/history/{PROMPT_ID}":
                status = {"status_str": "success", "completed": True, "messages": []}
                return json_response({PROMPT_ID: {"prompt": [], "outputs": self.outputs, "status": status}})
            case ("GET", "/view"):
                return Response(self.picture)
        return Response(b"404: Not Found", 404)

    async def _socket(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(request)
        protocol = ServerProtocol()
        protocol.receive_data(request.head)
        (handshake,) = protocol.events_received()
        protocol.send_response(protocol.accept(handshake))

        async def flush() -> None:
            for data in protocol.data_to_send():
                writer.write(data)
            await writer.drain()

        async def send(kind: str, **data: Any) -> None:
            protocol.send_text(json.dumps({"type": kind, "data": data}).encode())
            await flush()

        await send("status", status={"exec_info": {"queue_remaining": 0}}, sid=request.query["clientId"])
        await self.queued.wait()
        await send("status", status={"exec_info": {"queue_remaining": 1}})
        await send("progress", value=9, max=9, prompt_id="somebody-elses", node="7")
        await send("executing", node=None, prompt_id="somebody-elses")
        await send("execution_start", prompt_id=PROMPT_ID, timestamp=1750000000000)
        await send("execution_cached", nodes=[], prompt_id=PROMPT_ID, timestamp=1750000000001)
        self.running.append(PROMPT_ID)
        for node in ("checkpoint", "positive", "negative", "canvas", "sampler"):
            await send("executing", node=node, display_node=node, prompt_id=PROMPT_ID)
        for step in range(1, 5):
            await send("progress", value=step, max=4, prompt_id=PROMPT_ID, node="sampler")
            protocol.send_binary(b"\0\0\0\1\0\0\0\1\xff\xd8 a preview")
            await flush()
            if self.closes_while_painting:
                return
            await self.hold.wait()
        if self.failure is not None:
            kind, data = self.failure
            await send(kind, prompt_id=PROMPT_ID, node_id="sampler", node_type="KSampler", executed=[], **data)
        else:
            for node in ("decoder", "picture"):
                await send("executing", node=node, display_node=node, prompt_id=PROMPT_ID)
            await send("executed", node="picture", output=self.outputs.get("picture"), prompt_id=PROMPT_ID)
            await send("execution_success", prompt_id=PROMPT_ID, timestamp=1750000000002)
        self.running.remove(PROMPT_ID)
        await send("executing", node=None, prompt_id=PROMPT_ID)
        while data := await reader.read(4096):
            protocol.receive_data(data)
            await flush()
            if protocol.close_expected():
                return
