"""Generates the Python stubs of the API: `python proto/generate.py`.

Reads `proto/townsfolk/v1/*.proto`, writes `server/townsfolk/v1/` (messages, type stubs, gRPC classes). The
build does the same through `hatch_build.py`. Needs grpcio-tools; the output is never committed.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

PACKAGE = Path("townsfolk/v1")
PROTO_ROOT = Path(__file__).resolve().parent
STUB_ROOT = PROTO_ROOT.parent / "server"
INIT = '"""Stubs generated from proto/townsfolk/v1 by proto/generate.py. Do not edit."""\n'


def generate(stub_root: Path = STUB_ROOT) -> list[Path]:
    """Replace the stubs under `stub_root` and return their paths. If protoc fails, the old ones stay."""
    from grpc_tools import protoc

    protos = sorted((PACKAGE / path.name).as_posix() for path in (PROTO_ROOT / PACKAGE).glob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        status = protoc.main(
            [
                "protoc",
                f"--proto_path={PROTO_ROOT}",
                f"--proto_path={files('grpc_tools') / '_proto'}",
                f"--python_out={scratch}",
                f"--pyi_out={scratch}",
                f"--grpc_python_out={scratch}",
                *protos,
            ]
        )
        if status != 0:
            raise RuntimeError(f"protoc ended with status {status}")
        fresh = Path(scratch) / PACKAGE
        (fresh / "__init__.py").write_text(INIT, encoding="utf-8")
        target = stub_root / PACKAGE
        target.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in fresh.iterdir()}
        for stale in target.iterdir():
            if stale.is_file() and stale.name not in names:
                stale.unlink()
        return [Path(shutil.copyfile(fresh / name, target / name)) for name in sorted(names)]


if __name__ == "__main__":
    try:
        written = generate()
    except RuntimeError as error:
        sys.exit(str(error))
    print(f"{len(written)} files in {STUB_ROOT / PACKAGE}")
