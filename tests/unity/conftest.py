"""Fixtures of the Unity package's tests: its assemblies, compiled once, and a daemon for them to talk to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unity.compiler import NUNIT, OWN, PACKAGE, SERIALISED_FIELDS, compile_assembly, run_mono, sources
from tests.unity.scripted_town import RunningTown, scripted_town

LIBRARY = "libtownsfolk_client.so"
Outcomes = dict[str, str]


def missing(reason: str) -> None:
    """Skips, or fails where TOWNSFOLK_REQUIRE_NATIVE=1 says that everything must be there."""
    if os.environ.get("TOWNSFOLK_REQUIRE_NATIVE") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def mono() -> None:
    for tool in ("mcs", "mono"):
        if shutil.which(tool) is None:
            missing(f"{tool} is not installed; on Debian: apt-get install mono-mcs")


@pytest.fixture(scope="session")
def nunit() -> Path:
    if not NUNIT.exists():
        missing("NUnit is not installed; on Debian: apt-get install libnunit-framework2.6.3-cil")
    return NUNIT


@pytest.fixture(scope="session")
def assemblies(mono: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package's assemblies, and the API stubs that all but the client's refer to."""
    out = tmp_path_factory.mktemp("assemblies")
    stubs = OWN / "stubs"
    engine = compile_assembly(out / "UnityEngine.dll", [stubs / "UnityEngine.cs"])
    editor = compile_assembly(out / "UnityEditor.dll", [stubs / "UnityEditor.cs"], [engine])
    client = compile_assembly(
        out / "Townsfolk.Client.dll",
        sources(PACKAGE / "Runtime" / "Client"),
        options=["-unsafe", f"-doc:{out / 'client.xml'}"],  # with -doc, a public member without a summary is an error
    )
    components = compile_assembly(
        out / "Townsfolk.Components.dll",
        sources(PACKAGE / "Runtime" / "Components"),
        [engine, client],
        [SERIALISED_FIELDS, f"-doc:{out / 'components.xml'}"],
    )
    compile_assembly(out / "Townsfolk.Editor.dll", sources(PACKAGE / "Editor"), [engine, editor, client, components])
    return out


@pytest.fixture(scope="session")
def nunit_assemblies(assemblies: Path, nunit: Path) -> Path:
    """The same folder, with the package's tests, the repository's own and their runner."""
    shutil.copy(nunit, assemblies)
    client = assemblies / "Townsfolk.Client.dll"
    tests = compile_assembly(
        assemblies / "Townsfolk.Client.Tests.dll", sources(PACKAGE / "Tests" / "Runtime"), [nunit, client]
    )
    compile_assembly(
        assemblies / "Townsfolk.Editor.Tests.dll",
        sources(PACKAGE / "Tests" / "Editor"),
        [nunit, client, tests, assemblies / "Townsfolk.Editor.dll"],
    )
    compile_assembly(assemblies / "Marshalling.dll", [OWN / "csharp" / "MarshallingTests.cs"], [nunit, client, tests])
    compile_assembly(assemblies / "TestRunner.exe", [OWN / "csharp" / "TestRunner.cs"], [nunit])
    return assemblies


@pytest.fixture(scope="session")
def client_library() -> Path:
    """The native library, as `make native` builds it."""
    named = os.environ.get("TOWNSFOLK_CLIENT_LIBRARY")
    path = Path(named) if named else PACKAGE.parent / "build" / "native" / LIBRARY
    if not path.exists():
        missing(f"{path} is not built; run: make native")
    return path


@pytest.fixture(scope="session")
def run_fixture(nunit_assemblies: Path) -> Callable[..., Outcomes]:
    """Runs one NUnit fixture in a process of its own; the outcome of each test by its name."""

    def run(assembly: str, fixture: str, library_folder: Path, **environment: str) -> Outcomes:
        ran = run_mono(
            nunit_assemblies / "TestRunner.exe",
            "--only",
            fixture,
            nunit_assemblies / assembly,
            LD_LIBRARY_PATH=str(library_folder),
            **environment,
        )
        print(ran.stdout, ran.stderr)
        outcomes = {}
        for line in ran.stdout.splitlines():
            verdict, _, rest = line.partition(" ")
            if verdict in ("ok", "skip", "FAIL"):
                outcomes[rest.partition(":")[0]] = line
        assert outcomes, ran.stdout + ran.stderr
        assert ran.returncode in (0, 1), ran.stdout + ran.stderr
        return outcomes

    return run


@pytest.fixture(scope="session")
def library_folder(client_library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the library has the name that P/Invoke looks for."""
    folder = tmp_path_factory.mktemp("library")
    (folder / LIBRARY).symlink_to(client_library.resolve())
    return folder


@pytest.fixture(scope="session")
def run_in_town(
    run_fixture: Callable[..., Outcomes], library_folder: Path
) -> Callable[[str, str], tuple[Outcomes, RunningTown]]:
    """Runs a fixture, once, against a daemon of its own: its outcomes, and the town as it was left."""
    ran: dict[str, tuple[Outcomes, RunningTown]] = {}

    def run(assembly: str, fixture: str) -> tuple[Outcomes, RunningTown]:
        if fixture not in ran:
            with scripted_town() as town:
                outcomes = run_fixture(assembly, fixture, library_folder, TOWNSFOLK_TEST_ADDRESS=town.address)
            ran[fixture] = outcomes, town
        return ran[fixture]

    return run
