"""The decode kernel in C++ (``server/kernel``), through ctypes: structures, packing of weights, calls.

The library is built when the package is installed, where there is a C++ compiler. What is here knows nothing of models
or adapters; ``int8_decoder.py`` does.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import mmap
import sys
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_char_p, c_double, c_float, c_int32, c_int64, c_void_p
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from townsfolk.errors import FailedPrecondition

ABI_VERSION = 1
LANES = 16  # outputs computed side by side: packed matrices have a multiple of them
GROUP = 32  # inputs that share a scale
MAX_INT8 = 127
SCALE_FACTOR = 1024  # by which the scales of weights are stored larger
FUSED = ("qkv", "o", "gate_up", "down")  # in the order of the kernel's table
PHASES = (
    "norms, quantisation, LoRA down",
    "QKV GEMM",
    "attention",
    "O GEMM",
    "gate and up GEMM",
    "down GEMM",
    "head GEMM",
)
LIBRARY = Path(__file__).with_name(
    {"win32": "townsfolk_kernel.dll", "darwin": "libtownsfolk_kernel.dylib"}.get(sys.platform, "libtownsfolk_kernel.so")
)

HUGE_PAGE = 2 << 20
SPINS = 2000  # looks at a barrier before a thread yields its core: some 50 µs
SPINS_SHARING_CORES = 50
SELF_TEST_TOLERANCE = 1e-4  # of the largest output: fp32 sums in another order


class CMatrix(Structure):
    _fields_ = (("blocks", c_void_p), ("out", c_int32), ("in_", c_int32))


class CLora(Structure):
    _fields_ = (("down", CMatrix), ("up", CMatrix * 3), ("rank", c_int32), ("projections", c_int32))


class CLayer(Structure):
    _fields_ = (
        ("input_norm", c_void_p),
        ("post_norm", c_void_p),
        ("q_norm", c_void_p),
        ("k_norm", c_void_p),
        ("qkv_bias", c_void_p),
        ("fused", CMatrix * len(FUSED)),
    )


class CModel(Structure):
    _fields_ = (
        *((name, c_int32) for name in ("layers", "hidden", "heads", "kv_heads", "head_dim", "ffn", "vocab", "context")),
        ("kv_rows", c_int32),
        ("norm_eps", c_float),
        ("layer", POINTER(CLayer)),
        ("embeddings", c_void_p),
        ("final_norm", c_void_p),
        ("head", CMatrix),
        ("cos", c_void_p),
        ("sin", c_void_p),
        ("keys", c_void_p),
        ("values", c_void_p),
    )


class CStep(Structure):
    _fields_ = (
        *((name, c_int32) for name in ("count", "decode_count", "sampled_count")),
        *(
            (name, c_void_p)
            for name in ("tokens", "positions", "rows", "adapters", "adapter_scales", "sampled", "logits")
        ),
    )


class CCandidates(Structure):
    _fields_ = (
        *((name, c_int32) for name in ("rows", "vocab", "count")),
        *(
            (name, c_void_p)
            for name in ("logits", "temperature", "penalty", "seen", "values", "ids", "log_sum", "greedy")
        ),
    )


@dataclass(frozen=True, slots=True)
class PackedMatrix:
    """Int8 weights as the kernel reads them, any number of equal matrices in one piece of memory.

    ``blocks``: uint8 ``[n, bytes]``, as ``kernel.h`` describes them.
    """

    blocks: torch.Tensor
    outputs: int
    inputs: int

    def c(self, index: int = 0) -> CMatrix:
        """The C structure of one of the matrices; valid as long as this object lives."""
        return CMatrix(self.blocks[index].data_ptr(), self.outputs, self.inputs)

    @property
    def bytes(self) -> int:
        return self.blocks.nbytes


class Kernel:
    """The loaded library. Raises ``FailedPrecondition`` where it is missing or of another version."""

    def __init__(self, library: Path = LIBRARY) -> None:
        if not library.exists():
            raise FailedPrecondition(
                "the CPU kernel was not built; install a C++ compiler (Debian: g++) and install townsfolk again"
            )
        try:
            self._c: Any = ctypes.CDLL(str(library))
        except OSError as error:
            raise FailedPrecondition(f"the CPU kernel cannot be loaded: {error}") from error
        if self._c.tk_abi_version() != ABI_VERSION:
            raise FailedPrecondition("the CPU kernel is of another version; install townsfolk again")
        self._c.tk_instruction_set.restype = c_char_p
        self._c.tk_open.restype = c_void_p
        self._c.tk_open.argtypes = (POINTER(CModel), c_int32, c_int32)
        self._c.tk_close.argtypes = (c_void_p,)
        self._c.tk_step.argtypes = (c_void_p, POINTER(CStep))
        self._c.tk_profile.argtypes = (c_void_p, POINTER(c_double))
        self._c.tk_matmul.argtypes = (c_void_p, POINTER(CMatrix), c_void_p, c_int32, c_void_p)
        self._c.tk_candidates.argtypes = (c_void_p, POINTER(CCandidates))
        self.instruction_set: str = self._c.tk_instruction_set().decode()
        self._c.tk_packed_bytes.restype = c_int64
        self._c.tk_pack.argtypes = (c_void_p, c_int32, c_int32, c_int32, c_void_p)
        self.weight_steps = int(self._c.tk_weight_steps())

    def packed_bytes(self, outputs: int, inputs: int, multiple: int = GROUP) -> int:
        """Bytes of a matrix whose inputs are padded to a multiple of ``multiple``."""
        return int(self._c.tk_packed_bytes(outputs, round_up(inputs, multiple)))

    def matrix(self, n: int, outputs: int, inputs: int, multiple: int, memory: torch.Tensor) -> PackedMatrix:
        """Room at the beginning of ``memory`` (uint8) for fp32 ``[n, out, in]``; ``fill`` packs them.

        Raises ``ValueError`` where the outputs are no multiple of ``LANES``.
        """
        if outputs % LANES:
            raise ValueError(f"{outputs} outputs are no multiple of {LANES}")
        size = self.packed_bytes(outputs, inputs, multiple)
        return PackedMatrix(memory[: n * size].view(n, size), outputs, round_up(inputs, multiple))

    def fill(self, matrix: PackedMatrix, weights: torch.Tensor) -> None:
        """Quantise fp32 ``[n, out, in]`` into its place."""
        for index, dense in enumerate(weights.contiguous()):
            self.fill_one(matrix, index, dense)

    def fill_one(self, matrix: PackedMatrix, index: int, weights: torch.Tensor) -> None:
        """Quantise fp32 ``[out, in]``, contiguous, into the place of number ``index``."""
        self._c.tk_pack(weights.data_ptr(), *weights.shape, matrix.inputs, matrix.blocks[index].data_ptr())

    def pack(self, weights: torch.Tensor, multiple: int = GROUP) -> PackedMatrix:
        """``matrix`` in memory of its own, filled."""
        n, outputs, inputs = weights.shape
        matrix = self.matrix(
            n, outputs, inputs, multiple, allocate_weights(n * self.packed_bytes(outputs, inputs, multiple))
        )
        self.fill(matrix, weights)
        return matrix

    def open(self, model: CModel, threads: int, share_cores: bool) -> KernelModel:
        """A model that can compute; what ``model`` points to must outlive it."""
        spin = SPINS_SHARING_CORES if share_cores else SPINS
        return KernelModel(self._c, self._c.tk_open(ctypes.byref(model), threads, spin))

    def self_test(self, threads: int) -> None:
        """Multiply a small random matrix and compare with torch. Raises ``FailedPrecondition`` where they differ."""
        generator = torch.Generator().manual_seed(1)
        inputs = 3 * GROUP
        weights = torch.randn(1, 7 * LANES, inputs, generator=generator)
        x = torch.randn(9, inputs, generator=generator)
        packed = self.pack(weights)
        expected = quantised_matmul(x, weights[0], self)
        model = self.open(CModel(), threads, share_cores=False)
        try:
            error = (model.matmul(packed, x) - expected).abs().max()
        finally:
            model.close()
        if not error <= SELF_TEST_TOLERANCE * expected.abs().max():
            raise FailedPrecondition(f"the CPU kernel ({self.instruction_set}) computes wrong sums on this machine")


class KernelModel:
    """A handle of the library, with its team of threads."""

    def __init__(self, library: Any, handle: int) -> None:
        self._c = library
        self._handle: int | None = handle

    def close(self) -> None:
        """End the threads; the model cannot compute afterwards. Safe to call twice."""
        if self._handle is not None:
            self._c.tk_close(self._handle)
            self._handle = None

    def __del__(self) -> None:
        self.close()

    def step(self, step: CStep) -> None:
        """One forward pass; see ``kernel.h``."""
        self._c.tk_step(self._handle, ctypes.byref(step))

    def profile(self) -> dict[str, float]:
        """Where the time of all steps so far went, in seconds by phase; LoRA up-projections are in their GEMM's."""
        seconds = (c_double * len(PHASES))()
        self._c.tk_profile(self._handle, seconds)
        return dict(zip(PHASES, seconds, strict=True))

    def matmul(self, matrix: PackedMatrix, x: torch.Tensor) -> torch.Tensor:
        """``x`` fp32 ``[n, in]`` times the matrix, ``[n, out]``, with activations quantised as in a step."""
        c = matrix.c()
        y = torch.empty(x.shape[0], c.out)
        self._c.tk_matmul(self._handle, ctypes.byref(c), x.contiguous().data_ptr(), x.shape[0], y.data_ptr())
        return y

    def candidates(
        self,
        logits: torch.Tensor,
        temperature: torch.Tensor,
        penalty: torch.Tensor,
        seen: Sequence[torch.Tensor],
        count: int,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        """Greedy choices ``[S]``, and the ``count`` largest values, their ids ``[S, count]`` and each row's log-sum.

        ``logits`` fp32 ``[S, vocab]`` are penalised and divided by ``temperature`` in place; ``seen``: S rows of bool
        ``[vocab]``. Values and ids of rows with temperature 0 are not filled in.
        """
        rows, vocab = logits.shape
        values = torch.zeros(rows, count)
        ids = torch.zeros(rows, count, dtype=torch.int64)
        log_sum = torch.zeros(rows)
        greedy = torch.empty(rows, dtype=torch.int64)
        pointers = (c_void_p * rows)(*(row.data_ptr() for row in seen))
        work = CCandidates(
            rows,
            vocab,
            count,
            logits.data_ptr(),
            temperature.data_ptr(),
            penalty.data_ptr(),
            ctypes.addressof(pointers),
            values.data_ptr(),
            ids.data_ptr(),
            log_sum.data_ptr(),
            greedy.data_ptr(),
        )
        self._c.tk_candidates(self._handle, ctypes.byref(work))
        return greedy, values, ids, log_sum


def allocate_weights(size: int) -> torch.Tensor:
    """Uint8 ``[size]`` on huge pages where the system has them: a step reads all weights once, in order."""
    if sys.platform != "linux":
        return torch.empty(size, dtype=torch.uint8)
    pages = -(-size // HUGE_PAGE) * HUGE_PAGE
    memory = mmap.mmap(-1, pages + HUGE_PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    whole = torch.frombuffer(memory, dtype=torch.uint8)
    start = -whole.data_ptr() % HUGE_PAGE
    return whole[start : start + size]


def quantised_matmul(x: torch.Tensor, weights: torch.Tensor, kernel: Kernel) -> torch.Tensor:
    """What ``KernelModel.matmul`` computes, in plain torch: ``x`` ``[n, in]``, ``weights`` ``[out, in]``, fp32."""
    return _rounded_activations(x) @ _rounded_weights(weights, kernel.weight_steps).t()


def _groups(x: torch.Tensor) -> torch.Tensor:
    """``[n, in]`` as ``[n, groups, GROUP]``; the last value is repeated where the last group is a short one."""
    padding = -x.shape[1] % GROUP
    return torch.cat((x, x[:, -1:].expand(-1, padding)), dim=1).view(x.shape[0], -1, GROUP)


def _rounded_activations(x: torch.Tensor) -> torch.Tensor:
    groups = _groups(x)
    bound = groups.abs().amax(dim=-1, keepdim=True)
    factor = torch.where(bound > 0, MAX_INT8 / bound, 0.0)
    return ((groups * factor).round() * (bound / MAX_INT8)).view(x.shape[0], -1)[:, : x.shape[1]]


def _rounded_weights(weights: torch.Tensor, steps: int) -> torch.Tensor:
    """Scales and minima have 11 significant bits, as in fp16."""
    groups = _groups(weights)
    smallest, largest = groups.amin(dim=-1, keepdim=True), groups.amax(dim=-1, keepdim=True)
    minimum = smallest.half().float()
    scale = ((largest - smallest) / steps * SCALE_FACTOR).half().float() / SCALE_FACTOR
    factor = torch.where(scale > 0, 1 / scale, 0.0)
    rounded = ((groups - minimum) * factor).round().clamp(min=0) * scale + minimum
    return rounded.view(weights.shape[0], -1)[:, : weights.shape[1]]


def round_up(value: int, multiple: int) -> int:
    """The smallest multiple of ``multiple`` that is not below ``value``."""
    return -(-value // multiple) * multiple


@functools.cache
def load_kernel() -> Kernel:
    """The library of this installation. Raises ``FailedPrecondition`` where there is none that works."""
    return Kernel()
