"""Tests on real servers. The installer and the converters are those of the benchmark of peers."""

import sys
from pathlib import Path

_PEERS = Path(__file__).parents[2] / "bench" / "peers"
sys.path[:0] = [str(_PEERS), str(_PEERS / "common")]
