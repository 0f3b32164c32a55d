"""Base models on disk: GGUF files and Hugging Face folders, read as transformers reads them, or turned away."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from tests.dialogue.tiny_tokenizers import KINDS, VARIED
from tests.engine.embedded.driver import make_engine, prompt_logits
from tests.engine.embedded.tiny_gguf import write_gguf
from tests.engine.embedded.tiny_models import CONTROL_TOKENS, FAMILIES, SIZES, tiny_tokenizer, write_model
from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.engine.embedded.checkpoint import Checkpoint, fingerprint, open_checkpoint
from townsfolk.engine.model_name import model_name
from townsfolk.errors import InvalidArgument, NotFound

QUANTISATIONS = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K")
BLOCK_OF_256 = {
    **SIZES,
    "hidden_size": 256,
    "intermediate_size": 256,
    "num_hidden_layers": 1,
    "tie_word_embeddings": True,
}
PROMPT = [17, 4, 300, 211, 99, 5, 42, 42, 42, 160, 371, 8]


@pytest.fixture(scope="module")
def wide_models() -> dict[str, PreTrainedModel]:
    """One-layer models whose rows are whole blocks of every quantisation."""
    torch.manual_seed(5)
    models: dict[str, PreTrainedModel] = {
        "llama": LlamaForCausalLM(LlamaConfig(**BLOCK_OF_256)),
        "qwen2": Qwen2ForCausalLM(Qwen2Config(**BLOCK_OF_256)),
    }
    for model in models.values():
        randomise(model)
    return models


def randomise(model: PreTrainedModel) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1 + ("norm" in name))


def loaded(folder: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def loaded_from_gguf(path: Path) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)


def check_tensors(checkpoint: Checkpoint, model: PreTrainedModel) -> None:
    """The checkpoint has the model's tensors, all of them and equal to the bit."""
    expected = model.state_dict()
    if checkpoint.spec.tied_embeddings:
        del expected["lm_head.weight"]
    assert set(checkpoint.names()) == set(expected)
    for name, tensor in expected.items():
        assert torch.equal(checkpoint.tensor(name).to(torch.float32), tensor), name


@torch.inference_mode()
def check_logits(path: Path, model: PreTrainedModel) -> None:
    ours = prompt_logits(make_engine(path, max_context=64, max_running=1), PROMPT, None)
    theirs = model(torch.tensor([PROMPT])).logits[0]
    assert ours.std() > 0.1
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("architecture", ["llama", "qwen2"])
@pytest.mark.parametrize("quantisation", QUANTISATIONS)
def test_tensors_and_logits_of_a_gguf_file_equal_transformers_own_reading(
    wide_models: dict[str, PreTrainedModel], architecture: str, quantisation: str, tmp_path: Path
) -> None:
    path = tmp_path / f"model.{quantisation}.gguf"
    write_gguf(wide_models[architecture], path, quantisation, tokenizer=tiny_tokenizer())
    theirs = loaded_from_gguf(path)
    check_tensors(open_checkpoint(path), theirs)
    check_logits(path, theirs)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_gguf_file_holds_the_same_model_as_the_folder_it_was_made_from(family: str, tmp_path: Path) -> None:
    folder = write_model(family, tmp_path / family)
    model = loaded(folder)
    rope = model.model.rotary_emb
    plain = 1.0 / (
        rope.config.rope_parameters["rope_theta"]
        ** (torch.arange(0, 2 * len(rope.inv_freq), 2) / len(rope.inv_freq) / 2)
    )
    scaled = family == "llama3"
    path = write_gguf(
        model,
        tmp_path / "m.gguf",
        tokenizer=tiny_tokenizer(),
        rope_freqs=plain / rope.inv_freq if scaled else None,
    )
    from_folder, from_file = open_checkpoint(folder), open_checkpoint(path)
    check_tensors(from_folder, model)
    check_tensors(from_file, model)
    torch.testing.assert_close(from_folder.inverse_frequencies, rope.inv_freq, rtol=1e-6, atol=0)
    torch.testing.assert_close(from_file.inverse_frequencies, rope.inv_freq, rtol=1e-6, atol=0)
    assert scaled != torch.allclose(rope.inv_freq, plain, rtol=1e-3)
    check_logits(folder, model)
    check_logits(path, model)
    assert fingerprint(from_file) == fingerprint(from_folder)
    assert from_file.spec.family == from_folder.spec.family
    assert from_file.eos_ids == from_folder.eos_ids == [2]
    assert from_file.bos_id == from_folder.bos_id == 1


def test_biases_of_a_llama_file_are_unpermuted_like_its_weights(tmp_path: Path) -> None:
    model = loaded(write_model("llama2", tmp_path / "llama2"))
    biases = {
        f"model.layers.{layer}.self_attn.{projection}_proj.bias": torch.randn(64 if projection == "q" else 32)
        for layer in range(2)
        for projection in "qkv"
    }
    checkpoint = open_checkpoint(write_gguf(model, tmp_path / "m.gguf", tokenizer=tiny_tokenizer(), biases=biases))
    assert checkpoint.spec.qkv_bias
    for name, bias in biases.items():
        assert torch.equal(checkpoint.tensor(name), bias), name


@pytest.mark.parametrize(
    "name", ["self_attn.o_proj.bias", "mlp.gate_proj.bias", "mlp.up_proj.bias", "mlp.down_proj.bias"]
)
def test_a_bias_that_would_be_left_out_is_refused(name: str, tmp_path: Path) -> None:
    folder = write_model("llama2", tmp_path / "llama2")
    biases = {f"model.layers.1.{name}": torch.ones(96 if name[4:] in ("gate_proj.bias", "up_proj.bias") else 64)}
    path = write_gguf(loaded(folder), tmp_path / "m.gguf", tokenizer=tiny_tokenizer(), biases=biases)
    save_file({**load_file(folder / "model.safetensors"), **biases}, folder / "model.safetensors")
    for model in (path, folder):
        with pytest.raises(InvalidArgument, match=rf"has a bias that is not supported: model\.layers\.1\.{name}"):
            open_checkpoint(model)


def test_the_tokenizer_of_a_gguf_file_is_the_one_it_was_written_with(tmp_path: Path) -> None:
    original = tiny_tokenizer()
    model = loaded(write_model("llama2", tmp_path / "llama2"))
    text = TextTokenizer(open_checkpoint(write_gguf(model, tmp_path / "m.gguf", tokenizer=original)).tokenizer_json)
    assert text.control_ids == {token: i for i, token in enumerate(CONTROL_TOKENS)}
    assert text.vocab_size == original.get_vocab_size()
    for words in ("the quick brown fox jumps over the lazy dog", "Ünïcödé 🦊 and\n\nspace", "1234"):
        assert text.encode(words) == original.encode(words, add_special_tokens=False).ids
        assert text.decode(text.encode(words)) == words


@pytest.mark.parametrize(
    ("family", "kind", "pre"),
    [
        ("llama2", "chatml", "gpt-2"),
        ("llama2", "chatml", "smollm"),
        ("llama2", "llama3", "llama-bpe"),
        ("qwen2", "chatml", "qwen2"),
        ("llama2", "llama2", ""),
    ],
)
def test_tokenizers_of_gguf_files_equal_transformers_own_reading(
    family: str, kind: str, pre: str, tmp_path: Path
) -> None:
    model = loaded(write_model(family, tmp_path / family))
    path = write_gguf(model, tmp_path / "m.gguf", tokenizer=KINDS[kind][0](), pre=pre)
    ours = TextTokenizer(open_checkpoint(path).tokenizer_json)
    theirs = AutoTokenizer.from_pretrained(tmp_path, gguf_file=path.name)
    assert set(KINDS[kind][0]().get_added_tokens_decoder()) == set(ours.control_ids.values())
    for text in VARIED:
        normal = unicodedata.normalize("NFC", text) if pre == "qwen2" else text  # which their reading leaves out
        written = text if ours.byte_level or not text else f" {text}"  # SentencePiece puts a space before a text
        assert ours.encode(written) == theirs.encode(normal, add_special_tokens=False), text
        assert ours.decode(ours.encode(text)) == normal


def test_linear_rope_scaling_of_a_gguf_file_is_heeded_and_other_kinds_are_refused(tmp_path: Path) -> None:
    model = loaded(write_model("llama2", tmp_path / "llama2"))
    plain = model.model.rotary_emb.inv_freq

    def with_scaling(kind: str) -> Path:
        extra = {"llama.rope.scaling.type": kind, "llama.rope.scaling.factor": 4.0}
        return write_gguf(model, tmp_path / f"{kind}.gguf", tokenizer=tiny_tokenizer(), extra=extra)

    torch.testing.assert_close(open_checkpoint(with_scaling("none")).inverse_frequencies, plain)
    torch.testing.assert_close(open_checkpoint(with_scaling("linear")).inverse_frequencies, plain / 4)
    with pytest.raises(InvalidArgument, match="rope scaling 'yarn' is not supported"):
        open_checkpoint(with_scaling("yarn"))


@pytest.mark.parametrize("kind", ["yarn", "dynamic", "longrope"])
def test_rope_scaling_of_a_folder_that_is_not_known_is_refused(kind: str, tmp_path: Path) -> None:
    folder = write_model("llama2", tmp_path / "llama2")
    rewrite(folder / "config.json", rope_parameters={"rope_type": kind, "rope_theta": 1e4, "factor": 2.0})
    with pytest.raises(InvalidArgument, match=f"rope scaling '{kind}' is not supported"):
        open_checkpoint(folder)


def test_rope_settings_of_older_folders_are_read_too(tmp_path: Path) -> None:
    folder = write_model("llama3", tmp_path / "llama3")
    expected = loaded(folder).model.rotary_emb.inv_freq
    rope = json.loads((folder / "config.json").read_text())["rope_parameters"]
    rewrite(
        folder / "config.json",
        rope_parameters=None,
        rope_theta=rope["rope_theta"],
        rope_scaling={k: v for k, v in rope.items() if k != "rope_theta"},
    )
    torch.testing.assert_close(open_checkpoint(folder).inverse_frequencies, expected)
    rewrite(folder / "config.json", rope_theta=10_000.0, rope_scaling={"type": "linear", "factor": 2.0})
    plain = 1 / 10_000 ** (torch.arange(0, 16, 2) / 16)
    torch.testing.assert_close(open_checkpoint(folder).inverse_frequencies, plain / 2)


def test_an_unsupported_architecture_or_quantisation_is_named(
    wide_models: dict[str, PreTrainedModel], tmp_path: Path
) -> None:
    model = wide_models["llama"]
    other = write_gguf(model, tmp_path / "falcon.gguf", tokenizer=tiny_tokenizer(), architecture="falcon")
    with pytest.raises(InvalidArgument, match="architecture 'falcon'; supported are llama, qwen2, qwen3"):
        open_checkpoint(other)
    coarse = open_checkpoint(write_gguf(model, tmp_path / "coarse.gguf", "Q2_K", tokenizer=tiny_tokenizer()))
    with pytest.raises(InvalidArgument, match=r"q_proj\.weight is stored as Q2_K; supported are F32, .*Q6_K"):
        coarse.tensor("model.layers.0.self_attn.q_proj.weight")
    with pytest.raises(InvalidArgument, match=r"the model lacks the tensor model\.layers\.7"):
        coarse.tensor("model.layers.7.input_layernorm.weight")


def test_a_gguf_file_that_lacks_something_is_refused_by_what_it_lacks(tmp_path: Path) -> None:
    model = loaded(write_model("llama2", tmp_path / "llama2"))
    with pytest.raises(InvalidArgument, match=r"lacks tokenizer\.ggml\.model"):
        open_checkpoint(write_gguf(model, tmp_path / "mute.gguf"))
    blind = write_gguf(model, tmp_path / "b.gguf", tokenizer=tiny_tokenizer(), without=("model.embed_tokens.weight",))
    with pytest.raises(InvalidArgument, match="has no token embeddings"):
        open_checkpoint(blind)
    with pytest.raises(InvalidArgument, match="the GGUF pre-tokenizer 'klingon' is not known"):
        open_checkpoint(write_gguf(model, tmp_path / "klingon.gguf", tokenizer=tiny_tokenizer(), pre="klingon"))
    without = ("model.layers.1.mlp.up_proj.weight",)
    lame = write_gguf(model, tmp_path / "lame.gguf", tokenizer=tiny_tokenizer(), without=without)
    with pytest.raises(InvalidArgument, match=r"lacks the tensor model\.layers\.1\.mlp\.up_proj\.weight"):
        make_engine(lame)


def test_a_gguf_value_of_the_wrong_kind_is_refused_by_its_key(tmp_path: Path) -> None:
    model = loaded(write_model("qwen2", tmp_path / "qwen2"))
    path = write_gguf(model, tmp_path / "m.gguf", tokenizer=tiny_tokenizer(), extra={"llama.rope.freq_base": "fast"})
    open_checkpoint(path)  # a key of another architecture is none of our business
    model = loaded(write_model("llama2", tmp_path / "llama2"))
    text = write_gguf(
        model, tmp_path / "n.gguf", tokenizer=tiny_tokenizer(), extra={"tokenizer.ggml.eot_token_id": "x"}
    )
    with pytest.raises(InvalidArgument, match=r"has no number in tokenizer\.ggml\.eot_token_id"):
        open_checkpoint(text)


def test_a_gguf_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    model = loaded(write_model("smollm2", tmp_path / "smollm2"))
    content = write_gguf(model, tmp_path / "whole.gguf", "Q8_0", tokenizer=tiny_tokenizer()).read_bytes()
    path = tmp_path / "cut.gguf"
    lengths = {0, 1, 3, 4, 7, 8, 20, 24, *range(25, len(content), len(content) // 80), len(content) - 1}
    for length in sorted(lengths):
        path.write_bytes(content[:length])
        with pytest.raises(InvalidArgument, match=r"cut\.gguf"):
            open_checkpoint(path)


def test_bytes_that_are_no_gguf_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    for content in (b"GGML" + bytes(100), b"<html>not found</html>" * 9, b"GGUF" + b"\xff" * 100, b"GGUF" + bytes(100)):
        path.write_bytes(content)
        with pytest.raises(InvalidArgument, match=r"model\.gguf"):
            open_checkpoint(path)


def test_random_damage_to_a_gguf_header_never_escapes_as_another_error(tmp_path: Path) -> None:
    model = loaded(write_model("smollm2", tmp_path / "smollm2"))
    content = bytearray(write_gguf(model, tmp_path / "whole.gguf", tokenizer=tiny_tokenizer()).read_bytes())
    path = tmp_path / "bad.gguf"
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        damaged = bytearray(content)
        for place in torch.randint(8, 1200, (3,), generator=generator).tolist():
            damaged[place] = int(torch.randint(0, 256, (1,), generator=generator))
        path.write_bytes(damaged)
        try:
            open_checkpoint(path)
        except InvalidArgument:
            continue


def test_a_path_that_leads_nowhere_or_to_something_else_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"no model at .*; run `townsfolk models pull`"):
        open_checkpoint(tmp_path / "nowhere.gguf")
    (tmp_path / "model.onnx").write_bytes(b"x")
    with pytest.raises(InvalidArgument, match=r"is neither a \.gguf file nor a Hugging Face model folder"):
        open_checkpoint(tmp_path / "model.onnx")


def test_pickled_weights_are_refused_unread(tmp_path: Path) -> None:
    folder = write_model("llama2", tmp_path / "llama2")
    (folder / "model.safetensors").unlink()

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "exploded"),)

    torch.save({"model.embed_tokens.weight": Bomb()}, folder / "pytorch_model.bin")
    with pytest.raises(InvalidArgument, match=r"has no model\.safetensors; only safetensors weights are read"):
        open_checkpoint(folder)
    assert not (tmp_path / "exploded").exists()


def test_a_folder_in_shards_is_the_same_model(tmp_path: Path) -> None:
    folder = write_model("llama2", tmp_path / "llama2")
    model = loaded(folder)
    sharded = Path(shutil.copytree(folder, tmp_path / "sharded"))
    (sharded / "model.safetensors").unlink()
    model.save_pretrained(sharded, max_shard_size="100KB")
    assert len(list(sharded.glob("*.safetensors"))) > 2
    check_tensors(open_checkpoint(sharded), model)
    assert fingerprint(open_checkpoint(sharded)) == fingerprint(open_checkpoint(folder))
    shard = min(sharded.glob("*.safetensors"))
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2])
    with pytest.raises(InvalidArgument, match="is damaged or cut short"):
        open_checkpoint(sharded)
    shard.unlink()
    with pytest.raises(InvalidArgument, match="is damaged or cut short"):
        open_checkpoint(sharded)


@pytest.mark.parametrize("index", ["{}", '{"weight_map": []}', '{"weight_map": {"x": 7}}', "[]", "{"])
def test_a_damaged_index_of_shards_is_refused(index: str, tmp_path: Path) -> None:
    folder = write_model("llama2", tmp_path / "llama2")
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(InvalidArgument, match=r"index\.json"):
        open_checkpoint(folder)


def rewrite(path: Path, **changes: object) -> None:
    """Change entries of a JSON object; ``None`` takes them out."""
    document = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in document.items() if value is not None}))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"hidden_size": None}, "lacks 'hidden_size'"),
        ({"rms_norm_eps": None}, "lacks 'rms_norm_eps'"),
        ({"hidden_size": "wide"}, "has a value of the wrong kind"),
        ({"num_hidden_layers": [2]}, "has a value of the wrong kind"),
        ({"model_type": "gemma3"}, "the model family 'gemma3' is not supported; use one of llama, mistral"),
        ({"model_type": None}, "the model family '' is not supported"),
        ({"num_attention_heads": 0}, "a model cannot have the sizes {'vocab_size': 384"),
        ({"head_dim": -8}, "a model cannot have the sizes"),
        ({"num_key_value_heads": 3}, "4 heads cannot share 3 key/value heads evenly"),
    ],
)
def test_a_config_that_cannot_be_is_refused(changes: dict[str, object], sentence: str, tmp_path: Path) -> None:
    folder = write_model("llama2", tmp_path / "llama2")
    rewrite(folder / "config.json", **changes)
    with pytest.raises(InvalidArgument) as refused:
        open_checkpoint(folder)
    assert sentence in refused.value.message


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json"])
def test_a_folder_that_lacks_a_file_is_refused_by_its_name(file: str, tmp_path: Path) -> None:
    folder = write_model("llama2", tmp_path / "llama2")
    (folder / file).unlink()
    with pytest.raises(InvalidArgument, match=f"the model folder lacks {file}"):
        open_checkpoint(folder)


def test_a_sliding_window_is_the_longest_context_that_is_served(tmp_path: Path) -> None:
    folder = write_model("mistral", tmp_path / "mistral")
    assert open_checkpoint(folder).spec.max_context == 512
    rewrite(folder / "config.json", sliding_window=100)
    assert open_checkpoint(folder).spec.max_context == 100
    folder = write_model("qwen2", tmp_path / "qwen2")
    rewrite(folder / "config.json", sliding_window=100, use_sliding_window=False)
    assert open_checkpoint(folder).spec.max_context == 512


def test_a_fingerprint_is_of_the_model_and_not_of_its_quantisation_name_or_place(
    wide_models: dict[str, PreTrainedModel], tmp_path: Path
) -> None:
    files = [
        write_gguf(wide_models["llama"], tmp_path / f"{name}.{q}.gguf", q, tokenizer=tiny_tokenizer())
        for q, name in [("F32", "a"), ("F16", "a"), ("Q8_0", "b"), ("Q4_0", "a"), ("Q4_1", "c"), ("Q6_K", "a")]
    ]
    prints = {fingerprint(open_checkpoint(path)) for path in files}
    assert len(prints) == 1
    other = write_gguf(wide_models["qwen2"], tmp_path / "qwen2.gguf", tokenizer=tiny_tokenizer())
    torch.manual_seed(6)
    tuned = LlamaForCausalLM(LlamaConfig(**BLOCK_OF_256))
    tuned.load_state_dict(wide_models["llama"].state_dict())
    with torch.no_grad():
        tuned.model.norm.weight[3] += 2**-10  # the least that a fine-tuning may leave
    twin = write_gguf(tuned, tmp_path / "twin.gguf", tokenizer=tiny_tokenizer())
    assert len({*prints, fingerprint(open_checkpoint(other)), fingerprint(open_checkpoint(twin))}) == 3


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2-135m-instruct"),
        ("SmolLM2-135M-Instruct-f16.gguf", "smollm2-135m-instruct"),
        ("Llama-3.2-1B-Instruct-Q4_K_M.gguf", "llama-3.2-1b-instruct"),
        ("qwen2.5-0.5b-instruct-iq4_xs.gguf", "qwen2.5-0.5b-instruct"),
        ("Llama-3.2-1B-Instruct-BF16.GGUF", "llama-3.2-1b-instruct"),
        ("Qwen2.5-0.5B-Instruct", "qwen2.5-0.5b-instruct"),
        ("model-q8", "model"),
    ],
)
def test_a_models_name_is_the_same_for_every_quantisation(file: str, name: str) -> None:
    assert model_name(Path(file)) == name
