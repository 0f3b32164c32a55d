"""PNG files are believed when they are whole, and tell what they were painted from. Pillow is the reference."""

from __future__ import annotations

import io

import pytest

from tests.pictures.scripted_painter import grey_png
from townsfolk.pictures.painter import PictureOrder
from townsfolk.pictures.png import MalformedPng, described, png_size, with_texts

Image = pytest.importorskip("PIL.Image", reason="Pillow is missing: pip install 'townsfolk[pictures]'")

ORDER = PictureOrder("ein Leuchtturm, “Sturm”, 灯台", 64, 64, 4, 7, negative_prompt="blurry")


def test_pillow_reads_what_the_picture_was_painted_from() -> None:
    picture = Image.open(io.BytesIO(described(grey_png(), ORDER, "stabilityai/sdxl-turbo", 4)))
    picture.load()
    assert picture.text["Description"] == ORDER.prompt
    assert picture.text["Negative prompt"] == "blurry"
    assert (picture.text["Seed"], picture.text["Steps"]) == ("7", "4")
    assert picture.text["Model"] == "stabilityai/sdxl-turbo"


def test_texts_that_were_there_are_gone_and_the_pixels_are_the_same() -> None:
    before, after = Image.open(io.BytesIO(grey_png())), Image.open(io.BytesIO(with_texts(grey_png(), {"Seed": "7"})))
    assert before.text == {"parameters": "theirs"}
    assert after.text == {"Seed": "7"}
    assert after.tobytes() == before.tobytes()


def test_a_picture_of_pillow_has_its_size() -> None:
    file = io.BytesIO()
    Image.new("RGB", (48, 80)).save(file, format="PNG")
    assert png_size(file.getvalue()) == (48, 80)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "signature"),
        (b"\xff\xd8\xff\xe0 a JPEG", "signature"),
        (grey_png()[:-1], "breaks off"),
        (grey_png()[:8], "breaks off"),
        (grey_png()[:8] + grey_png()[33:], "header"),
        (grey_png().replace(b"theirs", b"thairs"), "checksum"),
        (grey_png()[:8] + b"\xff\xff\xff\xff" + grey_png()[12:], "breaks off"),
        (grey_png(4096), "large"),
    ],
)
def test_what_is_no_whole_picture_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(MalformedPng, match=why):
        png_size(data)
