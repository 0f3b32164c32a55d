"""The names that users import."""

from tensorrt_llm._llm import LLM as LLM
from tensorrt_llm._request import GuidedDecodingParams as GuidedDecodingParams
from tensorrt_llm._request import KvCacheRetentionConfig as KvCacheRetentionConfig
from tensorrt_llm._request import LoRARequest as LoRARequest
from tensorrt_llm._request import SamplingParams as SamplingParams
from tensorrt_llm._result import CompletionOutput as CompletionOutput
from tensorrt_llm._result import RequestError as RequestError
from tensorrt_llm._result import RequestOutput as RequestOutput
from tensorrt_llm.llmapi.llm_args import CudaGraphConfig as CudaGraphConfig
from tensorrt_llm.llmapi.llm_args import KvCacheConfig as KvCacheConfig
from tensorrt_llm.llmapi.llm_args import TorchLlmArgs as TorchLlmArgs
