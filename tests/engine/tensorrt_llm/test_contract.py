"""What ``api.py`` uses of TensorRT-LLM is what was recorded of it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import townsfolk
from tests.engine.tensorrt_llm.api_check import Checker
from townsfolk.engine.tensorrt_llm.contract import read_contract

PACKAGE = Path(townsfolk.__file__).parent
API = PACKAGE / "engine" / "tensorrt_llm" / "api.py"


def test_every_use_of_the_api_is_in_the_contract() -> None:
    assert Checker(read_contract()).check(API.read_text("utf-8")) == []


def test_the_check_follows_what_the_engine_relies_on() -> None:
    checker = Checker(read_contract())
    checker.check(API.read_text("utf-8"))
    relied_on = {
        "LLM(lora_config)",
        "LLM(enable_chunked_prefill)",
        "LLM.generate_async",
        "LLM.generate_async(streaming)",
        "LLM.generate_async(cache_salt)",
        "LLM.shutdown",
        "LoraConfig(max_lora_rank)",
        "RequestOutput.abort",
        "RequestOutput.outputs",
        "RequestOutput.cached_tokens",
        "CompletionOutput.token_ids_diff",
        "CompletionOutput.finish_reason",
        "SamplingParams(stop_token_ids)",
        "KvCacheRetentionConfig.TokenRangeRetentionConfig",
    }
    assert relied_on <= checker.used


@pytest.mark.parametrize(
    ("right", "wrong", "finding"),
    [
        ("max_lora_rank=", "max_lora_ranks=", "LoraConfig() has no parameter max_lora_ranks"),
        ("free_gpu_memory_fraction=", "free_memory=", "KvCacheConfig() has no parameter free_memory"),
        ("cache_salt=", "salt=", "LLM.generate_async() has no parameter salt"),
        ("sampler_type=", "sampler=", "LLM() has no parameter sampler"),
        ("output.token_ids_diff", "output.new_token_ids", "CompletionOutput has no new_token_ids"),
        ("step.outputs[0]", "step.results[0]", "RequestOutput has no results"),
        ("result.abort()", "result.cancel()", "RequestOutput has no cancel"),
        ("llm.shutdown()", "llm.shut_down()", "LLM has no shut_down"),
        ("llm.shutdown()", "llm.shutdown(5)", "LLM.shutdown() takes 0 arguments, not 1"),
        ("    RequestError,\n", "    RequestFailure,\n", "tensorrt_llm.llmapi.RequestFailure is not in the contract"),
        ("tensorrt_llm.llmapi.llm_args import", "tensorrt_llm.lora import", "tensorrt_llm.lora.LoraConfig is not in"),
        ("adapter.digest, adapter.number, str(adapter.folder)", "adapter.digest", "LoRARequest() lacks lora_int_id"),
        ("GuidedDecodingParams(json=line.json_schema)", "GuidedDecodingParams('{}')", "takes keywords only"),
        ("model=str(options.model),", "**{'model': 1},", "unpacked arguments"),
        (".TokenRangeRetentionConfig(", ".TokenRange(", "KvCacheRetentionConfig has no TokenRange"),
        ("(0, kept_prefix, KEPT_PRIORITY)", "(0, kept_prefix)", "lacks priority"),
    ],
)
def test_a_misspelt_or_renamed_name_is_found(right: str, wrong: str, finding: str) -> None:
    source = API.read_text("utf-8")
    assert right in source
    findings = Checker(read_contract()).check(source.replace(right, wrong))
    assert any(finding in found for found in findings), findings


def test_no_other_module_touches_the_library() -> None:
    touching = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tensorrt_llm":
                touching.add(path)
            if isinstance(node, ast.Import) and any(a.name.split(".")[0] == "tensorrt_llm" for a in node.names):
                touching.add(path)
    assert touching == {API}


def test_the_rules_that_code_and_double_refer_to_are_in_the_contract() -> None:
    rules = read_contract()["rules"]
    sources = [*API.parent.glob("*.py"), *Path(__file__).with_name("double").rglob("*.py")]
    mentions = re.findall(
        r'[Rr]ules? ("\w+"(?:(?:,| and) "\w+")*)', "\n".join(path.read_text("utf-8") for path in sources)
    )
    named = {name for mention in mentions for name in re.findall(r'"(\w+)"', mention)}
    assert named - set(rules) == set()
    # Of memory on a GPU, and of how the API is called and imported, which the tests above see.
    assert set(rules) - named == {"lora_slots", "keywords_only", "main_guard"}
