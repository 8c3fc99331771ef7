"""Where the tests find models: those of the project, and a folder of real ones beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("CONVC_SHARED", ROOT.parent / "shared")).resolve()

# A slow machine is no bug, and a run must not depend on what an earlier one left behind, nor on
# chance. Who looks for bugs sets CONVC_EXPLORE=1 and runs it again and again.
settings.register_profile("convc", deadline=None, database=None, derandomize=True)
settings.register_profile("explore", deadline=None, database=None)
settings.load_profile("explore" if os.environ.get("CONVC_EXPLORE") else "convc")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds ``--update-golden``; see `tests.golden`."""
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite the outputs of tests/golden/**/*.mlir"
    )


def real_models() -> list[Path]:
    """The real models beside the project; none where the folder is absent."""
    return sorted((SHARED / "models").glob("*.onnx"))


def sample_models() -> list[Path]:
    """The project's own models."""
    return sorted((ROOT / "models").glob("*.onnx"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real models and images; tests that want it are skipped where it is absent."""
    if not (SHARED / "models").is_dir():
        pytest.skip(f"no folder of real models at {SHARED} (set CONVC_SHARED)")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What convc remembers of this machine stays out of the user's cache, and comes from none."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONVC_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
