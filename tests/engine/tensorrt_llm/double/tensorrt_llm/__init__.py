"""A double of TensorRT-LLM for tests, found in the place of the real package by ``PYTHONPATH``.

Signatures are those of ``contract.json``; behaviour is written by hand after the contract's rules, whose names stand in
the comments. It computes on the CPU with transformers and a LoRA of its own, one line after the other.
"""

from tensorrt_llm.llmapi import LLM as LLM
from tensorrt_llm.llmapi import SamplingParams as SamplingParams

__version__ = "1.2.0"
