"""An installed release is compared with the contract; the double is the release, and is made to differ."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.engine.tensorrt_llm.doubled import DOUBLE
from townsfolk.engine.tensorrt_llm.contract import read_contract

COMPARE = """
import json, sys, dataclasses
from townsfolk.engine.tensorrt_llm.contract import compare_installed
print(json.dumps([dataclasses.asdict(d) for d in compare_installed(json.load(sys.stdin))]))
"""


def differences(contract: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """From a process in which the double is what is installed."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(DOUBLE), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", COMPARE],
        input=json.dumps(contract),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [(d["name"], d["what"], d["breaks"]) for d in json.loads(done.stdout)]


def test_the_double_has_the_api_of_the_contract() -> None:
    assert differences(read_contract()) == []


def test_every_kind_of_difference_is_found_those_that_break_first() -> None:
    contract = read_contract()
    items = contract["items"]
    items["SamplingParams"]["parameters"]["max_tokens"] = "64"
    items["SamplingParams"]["parameters"]["patience"] = "None"
    del items["KvCacheConfig"]["parameters"]["dtype"]
    items["LoRARequest"]["parameters"]["lora_name"] = "''"
    items["LLM"]["methods"]["pause"] = {"parameters": {}}
    items["LLM"]["methods"]["generate_async"]["parameters"]["urgency"] = "0"
    items["RequestOutput"]["members"]["results"] = "list"
    items["TurboConfig"] = {"module": "tensorrt_llm.llmapi"}
    items["RequestError"]["base"] = "OSError"
    found = differences(contract)
    assert set(found) == {
        ("SamplingParams(max_tokens)", "is 32 by default, was 64", False),
        ("SamplingParams(patience)", "is gone", True),
        ("KvCacheConfig(dtype)", "is new", False),
        ("LoRARequest(lora_name)", "has to be given now", True),
        ("LLM.pause()", "is gone", True),
        ("LLM.generate_async(urgency)", "is gone", True),
        ("RequestOutput.results", "is gone", True),
        ("tensorrt_llm.llmapi.TurboConfig", "is gone", True),
        ("RequestError", "is no OSError any more", True),
    }
    assert [breaks for *_, breaks in found] == sorted((breaks for *_, breaks in found), reverse=True)


@pytest.mark.parametrize("item", ["LLM", "SamplingParams", "LoraConfig", "RequestOutput"])
def test_the_contract_says_where_a_name_is_imported_from(item: str) -> None:
    assert read_contract()["items"][item]["module"].startswith("tensorrt_llm.")
