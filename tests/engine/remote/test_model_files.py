"""What the daemon reads of a model that runs elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes import tiny_tokenizer_json
from townsfolk.engine.remote.model_files import read_model_files
from townsfolk.errors import InvalidArgument, NotFound


def test_a_folder_without_weights_is_enough(model: Path) -> None:
    files = read_model_files(model)
    assert (files.name, files.family, files.max_context) == ("tiny", "llama", 512)
    assert (files.bos_id, files.eos_ids) == (256, [258])
    assert json.loads(files.tokenizer_json) == json.loads(tiny_tokenizer_json())


def test_end_tokens_of_the_generation_config_count_more(model: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((model / name).read_bytes())
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [256, 258]}', "utf-8")
    assert read_model_files(tmp_path).eos_ids == [256, 258]


@pytest.mark.real_model
def test_a_gguf_file_says_the_same_as_the_embedded_engine_reads(real_model_path: Path) -> None:
    from townsfolk.engine.embedded.checkpoint import open_checkpoint

    files, checkpoint = read_model_files(real_model_path), open_checkpoint(real_model_path)
    assert (files.name, files.family) == (checkpoint.spec.name, checkpoint.spec.family)
    assert files.max_context == checkpoint.spec.max_context
    assert files.tokenizer_json == checkpoint.tokenizer_json
    assert (files.bos_id, files.eos_ids) == (checkpoint.bos_id, checkpoint.eos_ids)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_model_files(tmp_path / "none")
    with pytest.raises(InvalidArgument, match=r"config\.json"):
        read_model_files(tmp_path)
    with pytest.raises(InvalidArgument, match=r"engine\.model"):
        read_model_files(None)


def test_the_remote_engine_needs_no_torch() -> None:
    program = "import sys, townsfolk.engine.remote.engine; sys.exit('torch' in sys.modules or 'gguf' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
