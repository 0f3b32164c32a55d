"""Paints with Stable Diffusion XL in a process of its own, which lives while there is something to paint.

Of its own, because a picture keeps an interpreter and a card busy for seconds, and because a GPU fault or an
out-of-memory kill must not take text down. It is started for the first order, ended when there was none for
``unload_after_s`` so that its memory is free for text, and killed when it hangs. The next order starts another.
"""

from __future__ import annotations

import asyncio
import importlib.util
import itertools
from collections.abc import Sequence

from townsfolk.config import PictureSettings
from townsfolk.errors import FailedPrecondition, InternalError, TownsfolkError, Unavailable, from_status
from townsfolk.pictures.messages import CancelPaint, Loaded, LoadFailed, Paint, Painted, PaintFailed, StepDone
from townsfolk.pictures.model_folder import check_model_folder, find_model_folder
from townsfolk.pictures.painter import OnStep, PaintedPicture, PictureOrder
from townsfolk.pictures.png import MalformedPng, described, png_size
from townsfolk.pictures.process import WORKER, PictureProcess
from townsfolk.pictures.queue import PictureQueue

NEEDED_PACKAGES = ("torch", "transformers", "accelerate", "diffusers")


class DiffusersPainter:
    """A ``Painter`` with a supervised child process.

    Args:
        settings: passed to the child.
        command: what to run instead of the picture process, without the settings argument.
    """

    def __init__(self, settings: PictureSettings, command: Sequence[str] = WORKER) -> None:
        self._settings = settings
        self._command = command
        self._queue = PictureQueue(settings.max_waiting, settings.timeout_s)
        self._process: PictureProcess | None = None
        self._unloading: asyncio.Task[None] | None = None
        self._ids = itertools.count(1)
        self.loaded: Loaded | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the child, while there is one."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Check the packages and the model's files, which is quick; the model is loaded for the first order."""
        for package in NEEDED_PACKAGES:
            if importlib.util.find_spec(package) is None:
                raise FailedPrecondition(
                    f"painting needs the package {package}; install it with: pip install 'townsfolk[pictures]'"
                )
        if not self._settings.download:
            await asyncio.to_thread(lambda: check_model_folder(find_model_folder(self._settings.model)))

    async def stop(self) -> None:
        self._keep()
        await self._end_process()

    async def paint(self, order: PictureOrder, on_step: OnStep) -> PaintedPicture:
        async with self._queue.turn() as deadline:
            self._keep()
            deadline.reschedule(None)  # loading has its own time
            try:
                process = await self._ready_process()
                deadline.reschedule(asyncio.get_running_loop().time() + self._settings.timeout_s)
                painted = await self._painted(process, order, on_step)
            except asyncio.CancelledError:
                if deadline.expired():
                    await self._end_process()  # it may hang for good
                raise
            finally:
                self._unload_later()
            return await asyncio.to_thread(self._picture, order, painted)

    async def _ready_process(self) -> PictureProcess:
        """The process with its model loaded, started if there is none. Raises what kept it from loading."""
        if self._process is not None and self._process.alive:
            return self._process
        await self._end_process()
        await self.start()
        process = self._process = await PictureProcess.spawn(self._settings, self._command)
        try:
            self.loaded = await self._first_answer(process)
        except BaseException:
            await self._end_process()
            raise
        return process

    async def _first_answer(self, process: PictureProcess) -> Loaded:
        timeout_s = None if self._settings.download else self._settings.start_timeout_s
        try:
            async with asyncio.timeout(timeout_s) as deadline:
                match await process.receive():
                    case Loaded() as loaded:
                        return loaded
                    case LoadFailed(status, message):
                        raise from_status(status, message, field="pictures.model")
                    case None:
                        raise await process.unexpected_end()
                    case other:
                        raise InternalError(f"the picture process began with {type(other).__name__}")
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise Unavailable(
                f"the picture model was not loaded within {self._settings.start_timeout_s:g} s; "
                "raise pictures.start_timeout_s"
            ) from error

    async def _painted(self, process: PictureProcess, order: PictureOrder, on_step: OnStep) -> Painted:
        order_id = next(self._ids)
        await process.send(Paint(order_id, order))
        try:
            while True:
                match await process.receive():
                    case StepDone(answered, step, steps) if answered == order_id:
                        on_step(step, steps)
                    case Painted(answered) as painted if answered == order_id:
                        return painted
                    case PaintFailed(answered, status, message) if answered == order_id:
                        raise from_status(status, message)
                    case None:
                        raise await process.unexpected_end()
        except TownsfolkError:
            raise
        except BaseException:
            await process.send(CancelPaint(order_id))
            raise

    def _picture(self, order: PictureOrder, painted: Painted) -> PaintedPicture:
        try:
            png = described(painted.png, order, self._settings.model, painted.steps)
            width, height = png_size(png)
        except MalformedPng as error:
            raise InternalError(f"the picture process sent what is no picture: {error}") from error
        return PaintedPicture(png, width, height, order.seed, painted.steps)

    def _unload_later(self) -> None:
        if self._settings.unload_after_s and self._process is not None:
            self._unloading = asyncio.create_task(self._unload())

    async def _unload(self) -> None:
        await asyncio.sleep(self._settings.unload_after_s)
        self._unloading = None
        await self._end_process()

    def _keep(self) -> None:
        if self._unloading is not None:
            self._unloading.cancel()
            self._unloading = None

    async def _end_process(self) -> None:
        process, self._process, self.loaded = self._process, None, None
        if process is not None:
            await process.kill()
