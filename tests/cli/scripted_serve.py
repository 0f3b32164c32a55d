"""`townsfolk`, but with an engine that speaks by script: what tests start in the place of a real daemon."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import townsfolk.engine.process
from tests.fakes import Reply, ScriptedEngine
from townsfolk.cli import main

SCRIPT = [Reply("Well met, good pilgrim.") for _ in range(100)]

if __name__ == "__main__":
    townsfolk.engine.process.EngineProcess = lambda settings: ScriptedEngine(SCRIPT)
    main()
