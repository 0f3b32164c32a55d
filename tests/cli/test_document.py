"""Where a text comes from, and how a long one is cut."""

from __future__ import annotations

import io
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from townsfolk.cli import document as document_module
from townsfolk.cli.document import MAX_DOCUMENT_BYTES, Document, parts_of, read_document
from townsfolk.errors import InvalidArgument, NotFound


@pytest.mark.parametrize("text", ["Rope, two marks.", "Grüße aus München", "Look at my report.md", "x" * 5000, "a/b?"])
def test_words_that_name_no_file_are_the_text(text: str) -> None:
    assert read_document(text) == Document(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_file_is_read_whatever_its_unicode_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "Bericht über Öl.md"
    path.write_bytes("Größe: 5 €\r\n日本語".encode(encoding))
    document = read_document(str(path))
    assert document == Document("Größe: 5 €\r\n日本語", "Bericht über Öl.md")
    assert parts_of(document.text, 100) == ["Größe: 5 €\n日本語"]


@pytest.mark.parametrize(
    "name", ["report.md", "notes/today", "C:\\docs\\report", "\\\\server\\share\\a.txt", "~/x", "./x"]
)
def test_a_misspelt_file_is_not_taken_for_a_text(name: str) -> None:
    if name == "notes/today":  # two words with a stroke between may well be a text
        assert read_document(name).text == name
        return
    with pytest.raises(NotFound, match="there is no file"):
        read_document(name)


@pytest.mark.skipif(os.name == "nt", reason="a backslash separates folders there")
def test_a_path_with_backslashes_is_read_where_a_file_is_called_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "docs\\report.md").write_text("Aye.", "utf-8")
    assert read_document("docs\\report.md").text == "Aye."


def test_a_dash_reads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    source = SimpleNamespace(buffer=io.BytesIO("Grüß dich".encode()))
    monkeypatch.setattr(document_module, "sys", SimpleNamespace(stdin=source))
    assert read_document("-") == Document("Grüß dich", "standard input")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n\t", "is empty"),
        ("Größe".encode("latin-1"), "no UTF-8 text (byte 0xf6 at 2)"),
        (b"PK\x03\x04\x00\x00", "zero bytes"),
        (b"x" * (MAX_DOCUMENT_BYTES + 1), "longer than 256 KiB"),
    ],
)
def test_what_is_no_text_is_one_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    with pytest.raises(InvalidArgument) as caught:
        read_document(str(path))
    assert words in caught.value.message
    assert "a.txt" in caught.value.message


def test_a_folder_is_no_document(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"."):
        read_document(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("one", ["one"]),
        ("first paragraph\n\nsecond one\nin two lines", ["first paragraph", "second one", "in two lines"]),
        ("a line of text\nanother line", ["a line of text", "another line"]),
        ("One sentence. Another one here.", ["One sentence.", "Another one here."]),
        ("many words without any sign", ["many words without", "any sign"]),
        ("一二三四五六七八九。十一二三四五六七八九十一", ["一二三四五六七八九。", "十一二三四五六七八九十一"]),
        ("x" * 45, ["x" * 20, "x" * 20, "x" * 5]),
    ],
)
def test_a_long_text_is_cut_at_its_best_border(text: str, parts: list[str]) -> None:
    assert parts_of(text, 20) == parts


def test_parts_lose_nothing_but_white_space() -> None:
    text = "\n\n".join(f"Paragraph {n}. It has sentences! Many of them? {'word ' * (n % 40)}" for n in range(200))
    parts = parts_of(text, 300)
    assert all(0 < len(part) <= 300 for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())
