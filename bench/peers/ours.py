"""Townsfolk's own engine on the common work, in process as the peers are, on its default settings."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from protocol import Case, Work, serve, warm_up_cases

from townsfolk import __version__
from townsfolk.bench.drive import DrivenEngine, EngineOptions, adapter_refs


class Ours:
    """The engine with room for all streams and all adapters."""

    def __init__(self, work: Work) -> None:
        options = EngineOptions(work.base_gguf, device="cpu")
        adapters = len(work.adapters)
        self._driven = DrivenEngine.start(
            options.settings(streams=work.max_streams, adapters=adapters, rank=work.rank, context=work.context)
        )
        self._adapters = adapter_refs(work.adapters)
        self._driven.keep_resident(self._adapters)
        self._prompts = work.prompts

    def versions(self) -> dict[str, str]:
        return {"townsfolk": __version__, "torch": torch.__version__}

    def generate(self, case: Case) -> list[list[int]]:
        lines = [
            self._driven.submit(
                self._prompts[stream.prompt],
                None if stream.adapter is None else self._adapters[stream.adapter],
                case.new_tokens,
            )
            for stream in case.streams
        ]
        self._driven.finish(lines)
        return [line.token_ids for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    work = Work.read(parser.parse_args().work)
    shapes = [(1, 1), (8, 0), (8, 8), (work.max_streams, 8)]
    serve(work, lambda: Ours(work), warm_up_cases(work, shapes))


if __name__ == "__main__":
    main()
