"""Orders are checked before anybody paints."""

from __future__ import annotations

from typing import Any

import pytest

from townsfolk.errors import InvalidArgument
from townsfolk.pictures.painter import PictureOrder, in_style

GOOD: dict[str, Any] = {"prompt": "a lighthouse", "width": 512, "height": 768, "steps": None, "seed": 0}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", " \n"),
        ("prompt", "x" * 4001),
        ("negative_prompt", "x" * 4001),
        ("width", 56),
        ("width", 2056),
        ("height", 513),
        ("steps", 0),
        ("steps", 101),
        ("seed", -1),
        ("seed", 1 << 64),
    ],
)
def test_a_bad_order_names_its_field(field: str, value: Any) -> None:
    with pytest.raises(InvalidArgument) as refused:
        PictureOrder(**{**GOOD, field: value})
    assert refused.value.field == field


def test_the_largest_order_is_good() -> None:
    PictureOrder("x" * 4000, 2048, 2048, 100, (1 << 64) - 1)


@pytest.mark.parametrize(
    ("style", "painted"), [("", "a cat"), ("  ", "a cat"), ("ink", "ink, a cat"), ("ink, ", "ink, a cat")]
)
def test_a_style_stands_before_the_prompt(style: str, painted: str) -> None:
    assert in_style(style, "a cat") == painted
