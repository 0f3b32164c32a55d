"""Compiles the CPU kernel: `python server/kernel/build.py`. Also called when the package is installed or built."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
LIBRARY = (
    HERE.parent
    / "townsfolk"
    / "engine"
    / "embedded"
    / {
        "win32": "townsfolk_kernel.dll",
        "darwin": "libtownsfolk_kernel.dylib",
    }.get(sys.platform, "libtownsfolk_kernel.so")
)
REQUIRE = "TOWNSFOLK_REQUIRE_KERNEL"  # set to 1 where an installation without the kernel is a mistake

X86 = platform.machine().lower() in ("x86_64", "amd64")
GCC_FLAGS = ["-O3", "-g0", "-std=c++17", "-fPIC", "-fvisibility=hidden", "-pthread"]
GCC_FLAGS += ["-Wno-uninitialized", "-Wno-maybe-uninitialized"]  # GCC 12 finds them in its own intrinsics
MSVC_FLAGS = ["/O2", "/std:c++17", "/EHsc", "/fp:precise"]
# Sources by what they may use; only files that are called after a look at the processor get instruction sets.
GCC_SOURCES = {
    "kernel.cpp": [],
    "isa_portable.cpp": [],
    "isa_avx2.cpp": ["-mavx2", "-mfma", "-mf16c"],
    "isa_avx512.cpp": [
        *(f"-mavx512{part}" for part in ("f", "bw", "vl", "dq", "vnni")),
        "-mavx2",
        "-mfma",
        "-mprefer-vector-width=512",
    ],
}
MSVC_SOURCES = {
    "kernel.cpp": [],
    "isa_portable.cpp": [],
    "isa_avx2.cpp": ["/arch:AVX2"],
    "isa_avx512.cpp": ["/arch:AVX512"],
}
X86_ONLY = ("isa_avx2.cpp", "isa_avx512.cpp")


class BuildError(Exception):
    """The kernel could not be compiled; the message says what is missing."""


def build() -> Path:
    """Compile ``LIBRARY`` and return its path. Raises ``BuildError`` where there is no C++ compiler that can."""
    import setuptools  # type: ignore[import-untyped]  # noqa: F401, I001  (brings distutils, gone from Python 3.12)
    from distutils.ccompiler import new_compiler
    from distutils.errors import CCompilerError, DistutilsError
    from distutils.sysconfig import customize_compiler

    compiler: Any = new_compiler()
    customize_compiler(compiler)
    msvc = compiler.compiler_type == "msvc"
    common, sources = (MSVC_FLAGS, MSVC_SOURCES) if msvc else (GCC_FLAGS, GCC_SOURCES)
    macros = [("TK_X86", "1")] if X86 else []

    def compile_one(name: str, folder: str) -> list[str]:
        objects: list[str] = compiler.compile(
            [str(HERE / name)], output_dir=folder, macros=macros, extra_postargs=[*common, *sources[name]]
        )
        return objects

    names = [name for name in sources if X86 or name not in X86_ONLY]
    with tempfile.TemporaryDirectory(prefix="townsfolk-kernel-") as folder:
        try:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                objects = [path for paths in pool.map(lambda name: compile_one(name, folder), names) for path in paths]
            built = Path(folder) / LIBRARY.name
            compiler.link_shared_object(
                objects, str(built), extra_postargs=[] if msvc else ["-pthread"], target_lang="c++"
            )
        except (CCompilerError, DistutilsError, OSError) as error:
            raise BuildError(f"the CPU kernel was not built: {error}") from error
        replacement = LIBRARY.with_suffix(".new")  # a running daemon keeps the old one mapped
        replacement.write_bytes(built.read_bytes())
        replacement.replace(LIBRARY)
    return LIBRARY


if __name__ == "__main__":
    print(build())
