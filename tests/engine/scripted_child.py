"""An engine process by script, for the daemon's side of the pipe: run by ``test_process.py`` in place of the worker.

Two lines are awaited and then spoken side by side: the line whose prompt begins with n says 10n+1, 10n+2, 10n+3. A line
whose prompt begins with 0 is refused at once.
"""

from __future__ import annotations

import sys

from townsfolk.engine.messages import (
    Batch,
    Finished,
    Generate,
    Message,
    Ready,
    RequestFailed,
    Shutdown,
    Started,
    Step,
    StepTokens,
    decode,
    encode,
)
from townsfolk.frames import LENGTH_PREFIX


def main() -> None:
    send(Ready("scripted", "llama", "cpu", "float32", 100, 8, "{}", -1, []))
    lines: list[Generate] = []
    while not isinstance(message := receive(), Shutdown):
        if isinstance(message, Generate) and message.prompt[0] == 0:
            send(RequestFailed(message.request_id, "RESOURCE_EXHAUSTED", "the queue is full", retry_after_s=2.5))
        elif isinstance(message, Generate):
            lines.append(message)
            send(Started(message.request_id, 1, 0, 0.0))
            if len(lines) == 2:
                speak(lines)


def speak(lines: list[Generate]) -> None:
    """Three tokens for each line, their ends in the message of the last step; and tokens of a line nobody asked for."""
    ids = [line.request_id for line in lines]
    for number in (1, 2, 3):
        tokens = [10 * line.prompt[0] + number for line in lines]
        said: list[Message] = [StepTokens(Step(number, 2, 1, 1000 + number), [*ids, 999], [*tokens, 0])]
        if number == 3:
            said += [Finished(line_id, "stop", 3) for line_id in ids]
        send(Batch(said))


def send(message: Message) -> None:
    sys.stdout.buffer.write(encode(message))
    sys.stdout.buffer.flush()


def receive() -> Message:
    (length,) = LENGTH_PREFIX.unpack(sys.stdin.buffer.read(LENGTH_PREFIX.size))
    return decode(sys.stdin.buffer.read(length))


if __name__ == "__main__":
    main()
