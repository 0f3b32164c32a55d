"""What is refused of a JSON schema before any engine or server sees it: schemas come from outside."""

from __future__ import annotations

import json
from typing import Any

from townsfolk.errors import InvalidArgument

MAX_SCHEMA_BYTES = 65_536
# Compilers descend from schema to schema, through references too, and a stack that overflows ends the process.
# llguidance 1.9 takes about 8 KiB a level; the stack that we give it has room for four times as many as there can be.
MAX_SCHEMA_OBJECTS = 512


def check_schema_size(schema: str) -> None:
    """Raise ``InvalidArgument`` for one that is too long to be read."""
    size = len(schema.encode("utf-8", "surrogatepass"))
    if size > MAX_SCHEMA_BYTES:
        raise InvalidArgument(
            f"the JSON schema has {size} bytes, more than the {MAX_SCHEMA_BYTES} allowed", field="json_schema"
        )


def check_schema(schema: str) -> None:
    """Raise ``InvalidArgument`` unless ``schema`` is a JSON object, with no more in it than a compiler bears."""
    check_schema_size(schema)
    objects = 0

    def count(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal objects
        objects += 1
        return dict(pairs)

    try:
        value = json.loads(schema, object_pairs_hook=count)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"the JSON schema is not valid JSON: {error}", field="json_schema") from error
    if not isinstance(value, dict):
        raise InvalidArgument("the JSON schema must be a JSON object", field="json_schema")
    if objects > MAX_SCHEMA_OBJECTS:
        raise InvalidArgument(
            f"the JSON schema has {objects} objects in it, more than the {MAX_SCHEMA_OBJECTS} allowed",
            field="json_schema",
        )
