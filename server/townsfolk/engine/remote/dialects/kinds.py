"""All dialects, by the name that settings give them."""

from __future__ import annotations

from townsfolk.engine.remote.dialects.base import Dialect
from townsfolk.engine.remote.dialects.llama_cpp import LlamaCpp
from townsfolk.engine.remote.dialects.lorax import Lorax
from townsfolk.engine.remote.dialects.nim import Nim
from townsfolk.engine.remote.dialects.sglang import Sglang
from townsfolk.engine.remote.dialects.trtllm_serve import TrtllmServe
from townsfolk.engine.remote.dialects.vllm import Vllm
from townsfolk.engine.remote.settings import ServerKind

DIALECTS: dict[ServerKind, Dialect] = {
    "vllm": Vllm(),
    "sglang": Sglang(),
    "trtllm_serve": TrtllmServe(),
    "nim": Nim(),
    "lorax": Lorax(),
    "llama_cpp": LlamaCpp(),
}
