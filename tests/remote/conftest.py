"""Models and adapters in the formats that servers read, real servers, and the embedded engine to compare with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from townsfolk.config import EngineSettings
from townsfolk.dialogue.prompt import PromptBuilder
from townsfolk.dialogue.tokenizer import TextTokenizer
from townsfolk.engine.adapter_files import adapter_digest
from townsfolk.engine.messages import AdapterRef
from townsfolk.engine.process import EngineProcess
from townsfolk.engine.remote.adapter_store import adapter_name
from townsfolk.engine.remote.engine import RemoteEngine
from townsfolk.personas.library import PersonaLibrary

ROOT = Path(__file__).parents[2]
PERSONAS = (
    *("alchemist_apprentice", "court_herald", "dock_smuggler", "dwarf_smith"),
    *("forest_elf", "old_knight", "whispering_villain"),
)
START_TIMEOUT_S = 600.0  # on two cores, with kernels to compile
CONTEXT = 1024
MODEL = "smollm2-135m-instruct"


@dataclass(frozen=True)
class Speaker:
    """A shipped persona with its adapter, and a prompt for it."""

    adapter: AdapterRef
    system: str

    def prompt(self, builder: PromptBuilder, player: str, max_tokens: int) -> list[int]:
        return builder.build(self.system, [], "", player, max_tokens=max_tokens)


@pytest.fixture(scope="session")
def speakers() -> dict[str, Speaker]:
    library = PersonaLibrary([ROOT / "personas"], 100)
    library.use_model(MODEL)
    found = {}
    for persona_id in PERSONAS:
        loaded = library.get(persona_id)
        adapter = loaded.usable_adapter()
        assert adapter is not None
        found[persona_id] = Speaker(adapter, loaded.persona.system)
    return found


@pytest.fixture(scope="session")
def hugging_face_model(real_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real model in bf16, as vLLM loads it and the embedded engine too."""
    from work_folder import write_hugging_face_folder

    from townsfolk.engine.embedded.checkpoint import open_checkpoint

    folder = tmp_path_factory.mktemp("hugging-face") / MODEL
    folder.mkdir()
    write_hugging_face_folder(folder, open_checkpoint(real_model_path))
    return folder


@pytest.fixture(scope="session")
def gguf_model(real_model_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real model in bf16, as llama.cpp loads it."""
    from tests.remote.real_servers import write_bf16_gguf

    target = tmp_path_factory.mktemp("gguf") / f"{MODEL}-bf16.gguf"
    write_bf16_gguf(real_model_path, target)
    return target


@pytest.fixture(scope="session")
def gguf_adapters(
    real_model_path: Path, speakers: dict[str, Speaker], tmp_path_factory: pytest.TempPathFactory
) -> list[Path]:
    from gguf_lora import convert

    from townsfolk.engine.embedded.checkpoint import open_checkpoint

    folder, spec = tmp_path_factory.mktemp("loras"), open_checkpoint(real_model_path).spec
    targets = []
    for speaker in speakers.values():
        source = Path(speaker.adapter.path)
        targets.append(folder / f"{adapter_name(source, adapter_digest(source))}.gguf")
        convert(source, targets[-1], spec)
    return targets


@pytest.fixture(scope="module", params=["llama_cpp", "vllm"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A real server of each kind; the first time it is installed, which takes long."""
    from tests.remote.real_servers import RealServer

    kind = request.param
    model = request.getfixturevalue("gguf_model" if kind == "llama_cpp" else "hugging_face_model")
    adapters = request.getfixturevalue("gguf_adapters") if kind == "llama_cpp" else []
    log = tmp_path_factory.mktemp("log") / f"{kind}.log"
    real = RealServer(kind, model, adapters, log)
    real.start()
    yield real
    real.kill()
    if request.session.testsfailed:
        print(log.read_text("utf-8", "replace")[-4000:])


@pytest.fixture
async def engine(server) -> AsyncIterator[RemoteEngine]:  # type: ignore[no-untyped-def]
    remote = {
        "endpoints": [{"url": server.url, "server": server.kind}],
        "health_interval_s": 0.5,
        "first_token_timeout_s": 300.0,
        "token_timeout_s": 120.0,
        "load_timeout_s": 300.0,
        "connect_timeout_s": 60.0,
    }
    settings = EngineSettings(model=server.model, max_context=CONTEXT, start_timeout_s=START_TIMEOUT_S, remote=remote)
    engine = RemoteEngine(settings)
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
async def embedded(hugging_face_model: Path) -> AsyncIterator[EngineProcess]:
    settings = EngineSettings(model=hugging_face_model, dtype="bf16", device="cpu", max_context=CONTEXT)
    engine = EngineProcess(settings)
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
def prompts(engine: RemoteEngine) -> PromptBuilder:
    info = engine.info
    return PromptBuilder(TextTokenizer(info.tokenizer_json), info.family, info.max_context)
