"""Who may import whom; held by the imports themselves, found in the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONVC = sorted((ROOT / "convc").rglob("*.py"))
PASSES = sorted((ROOT / "passes").rglob("*.py"))
PURE = ("algebra", "kernels")
ONNX_ROOMS = {"convc/reference.py"}
RUNTIME_ROOM = "convc/runtime.py"


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[str]:
    """The dotted names of all imported modules, wherever in the file they stand."""
    package = place(path).removesuffix("/__init__.py").removesuffix(".py").split("/")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, node.module] if node.module else base)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def test_there_is_something_to_look_at() -> None:
    assert len(CONVC) > 20
    assert len(PASSES) > 3
    assert {"numpy", "convc", "onnx"} <= set().union(*map(roots, CONVC))


@pytest.mark.parametrize("path", CONVC, ids=place)
def test_convc_knows_no_pass(path: Path) -> None:
    assert not {"passes", "tests", "models"} & roots(path)


@pytest.mark.parametrize("path", CONVC + PASSES, ids=place)
def test_onnx_and_onnxruntime_have_their_rooms(path: Path) -> None:
    where, found = place(path), roots(path)
    if not where.startswith("convc/onnx_io") and where not in ONNX_ROOMS:
        assert not {"onnx", "google"} & found
    if where != RUNTIME_ROOM:
        assert "onnxruntime" not in found


@pytest.mark.parametrize("path", CONVC, ids=place)
def test_algebra_and_kernels_are_numpy_only(path: Path) -> None:
    parts = path.relative_to(ROOT).parts
    if len(parts) < 3 or parts[1] not in PURE:
        return
    allowed = set(sys.stdlib_module_names) | {"numpy", "ml_dtypes"}
    for name in imports(path):
        own = name == f"convc.{parts[1]}" or name.startswith(f"convc.{parts[1]}.")
        assert own or name.split(".")[0] in allowed, name


@pytest.mark.parametrize("path", CONVC + PASSES, ids=place)
def test_nothing_is_imported_that_is_not_declared(path: Path) -> None:
    # numpy's ml_dtypes and protobuf come with onnx and cannot be left out of it.
    declared = {"networkx", "numpy", "onnx", "onnxruntime", "platformdirs", "rich"}
    declared |= {"argcomplete"}
    declared |= {"igraph", "jinja2", "matplotlib"}  # the extra `report`, imported for a page
    declared |= {"PIL"}  # the extra `images`, imported where an image is read
    declared |= {"ml_dtypes", "google"}
    # _typeshed is known to type checkers alone, behind TYPE_CHECKING.
    allowed = set(sys.stdlib_module_names) | declared | {"convc", "passes", "_typeshed"}
    assert roots(path) <= allowed


def test_the_imports_among_rooms_have_an_order() -> None:
    """What is below knows nothing of what is above; a room is a file or a folder."""
    order = [
        "errors",
        "ir",
        "graph",
        "opset",
        "costs",
        "rewrite",
        "choose",
        "pipeline",
        "api",
        "cli",
    ]
    for low, name in enumerate(order):
        paths = [p for p in CONVC if place(p.with_suffix("")).split("/")[1] == name]
        assert paths
        above = {f"convc.{other}" for other in order[low + 1 :]}
        for path in paths:
            found = {".".join(name.split(".")[:2]) for name in imports(path)}
            assert not above & found, place(path)


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


HEAVY = {"onnx", "onnxruntime", "numpy", "networkx", "rich", "argcomplete", "passes"}


@pytest.mark.parametrize(
    "code",
    [
        "import convc; convc.__version__",
        "import contextlib, convc.cli\n"
        "with contextlib.suppress(SystemExit): convc.cli.main(['--help'])",
        "import contextlib, convc.cli\n"
        "with contextlib.suppress(SystemExit): convc.cli.main(['optimize', '--help'])",
        "import contextlib, convc.cli\n"
        "with contextlib.suppress(SystemExit): convc.cli.main(['--version'])",
    ],
)
def test_help_waits_for_nothing_heavy(code: str) -> None:
    assert not HEAVY & modules_after(code)


def test_the_graph_needs_no_onnx() -> None:
    loaded = modules_after("import convc.graph, convc.rewrite, convc.pipeline, convc.digest")
    assert not {"onnx", "onnxruntime", "passes"} & loaded
    assert {"numpy", "networkx"} <= loaded


def test_reading_and_writing_needs_no_runtime() -> None:
    loaded = modules_after("import convc; convc.load; convc.save")
    assert "onnx" in loaded
    assert "onnxruntime" not in loaded
