"""What Unreal's header tool would generate, as far as a compile check needs it."""

from __future__ import annotations

import re
from pathlib import Path

DECLARATION = re.compile(r"^(?:class|struct)\s+(?:\w+_API\s+)?(\w+)(?:\s*:\s*public\s+(\w+))?", re.MULTILINE)


def write_generated_headers(sources: Path, into: Path) -> None:
    """For each header below ``sources`` that includes its ``.generated.h``, writes that file into ``into``.

    It gives each reflected class its ``Super``, ``ThisClass`` and ``StaticClass``, found by the line on which
    ``GENERATED_BODY`` stands, as Unreal's own tool does it.
    """
    for header in sources.rglob("*.h"):
        text = header.read_text("utf-8")
        if f'#include "{header.stem}.generated.h"' not in text:
            continue
        file_id = f"StubReflection_{header.stem}_"
        lines = ['#include "UObject/ObjectMacros.h"', "#undef CURRENT_FILE_ID", f"#define CURRENT_FILE_ID {file_id}"]
        for body in re.finditer(r"^\s*GENERATED_BODY\(\)", text, re.MULTILINE):
            name, base = list(DECLARATION.finditer(text, 0, body.start()))[-1].groups()
            number = text.count("\n", 0, body.end()) + 1
            members = f"using ThisClass = {name}; "
            if base:
                members += f"using Super = {base}; static class UClass* StaticClass(); private: "
            lines.append(f"#define {file_id}{number}_GENERATED_BODY {'public: ' if base else ''}{members}")
        (into / f"{header.stem}.generated.h").write_text("\n".join(lines) + "\n", "utf-8")
