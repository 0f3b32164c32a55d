"""An engine process that takes lines up and never says a word: run in place of the worker, to be killed."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.engine.scripted_child import receive, send
from tests.fakes import MODEL_NAME, tiny_tokenizer_json
from townsfolk.engine.messages import Generate, Ready, Shutdown, Started


def main() -> None:
    send(Ready(MODEL_NAME, "llama", "cpu", "float32", 4096, 64, tiny_tokenizer_json(), 256, [258]))
    while not isinstance(message := receive(), Shutdown):
        if isinstance(message, Generate):
            send(Started(message.request_id, len(message.prompt), 0, 0.0))


if __name__ == "__main__":
    main()
