"""What a test wants of the double, from environment variables, and what it sees of it."""

from __future__ import annotations

import json
import os
import threading
from typing import Any

LOG = os.environ.get("TENSORRT_LLM_DOUBLE_LOG", "")  # a file that gets one JSON object a line
SCRIPT: dict[str, Any] = json.loads(os.environ.get("TENSORRT_LLM_DOUBLE", "{}"))
_lock = threading.Lock()


def note(event: str, **details: Any) -> None:
    """Write down that something happened."""
    if LOG:
        with _lock, open(LOG, "a", encoding="utf-8") as file:
            file.write(json.dumps({"event": event, **details}, default=str) + "\n")
