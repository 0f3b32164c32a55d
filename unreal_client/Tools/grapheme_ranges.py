# Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.
"""Writes ``GraphemeRanges.h``: which code points belong to the character before or after them.

Needs the ``regex`` package, whose Unicode tables it reads: ``python Tools/grapheme_ranges.py``.
"""

from __future__ import annotations

from pathlib import Path

import regex

HEADER = Path(__file__).resolve().parents[1] / "Source/Townsfolk/Public/Townsfolk/Core/GraphemeRanges.h"

TABLES = {
    "NeverBreakBefore": (
        r"[\p{GCB=Extend}\p{GCB=SpacingMark}\p{GCB=ZWJ}]",
        "Combining marks, joiners, variation selectors and skin tones: they belong to what stands before them.",
    ),
    "NeverBreakAfter": (
        r"[\p{GCB=ZWJ}\p{GCB=Prepend}\p{InCB=Linker}]",
        "Joiners, prepended marks and viramas: what follows belongs to them.",
    ),
}


def ranges(pattern: str) -> list[tuple[int, int]]:
    """The code points that match ``pattern``, as ascending inclusive ranges."""
    matcher = regex.compile(pattern)
    found: list[tuple[int, int]] = []
    for code_point in range(0x110000):
        if 0xD800 <= code_point < 0xE000 or not matcher.match(chr(code_point)):
            continue
        if found and found[-1][1] == code_point - 1:
            found[-1] = (found[-1][0], code_point)
        else:
            found.append((code_point, code_point))
    return found


def table(name: str, pattern: str, meaning: str) -> str:
    """One table as C++."""
    rows: list[str] = []
    row = "\t"
    for first, last in ranges(pattern):
        cell = f"{{0x{first:04X}, 0x{last:04X}}}, "
        if len(row) + 3 + len(cell) > 118:
            rows.append(row.rstrip())
            row = "\t"
        row += cell
    rows.append(row.rstrip())
    return f"/** {meaning} */\ninline constexpr FCodePointRange {name}[] = {{\n" + "\n".join(rows) + "\n};\n"


def main() -> None:
    """Writes the header."""
    tables = "\n".join(table(name, *described) for name, described in TABLES.items())
    HEADER.write_text(
        "// Copyright Townsfolk contributors. Licensed under the Apache License, Version 2.0.\n"
        f"// Written by Tools/grapheme_ranges.py from the Unicode tables of regex {regex.__version__}.\n\n"
        "#pragma once\n\n#include <cstdint>\n\nnamespace Townsfolk\n{\n"
        "/** Code points from First to Last, both included. */\n"
        "struct FCodePointRange\n{\n\tuint32_t First;\n\tuint32_t Last;\n};\n\n"
        "// clang-format off\n" + tables + "// clang-format on\n} // namespace Townsfolk\n",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
