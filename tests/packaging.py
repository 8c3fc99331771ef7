"""Installs convc as a new user does, into an empty environment, and runs it: needs a network.

    python -m tests.packaging [--tests]

Builds the sdist, from it the wheel, installs that into a new environment, and runs the commands of
the README's first minutes and what has to be said where an extra is not there. With ``--tests`` the
sdist's own tests run as well, as a packager would run them.
"""

from __future__ import annotations

import argparse
import subprocess
import tarfile
import tempfile
import time
import venv
from pathlib import Path

import convc
from tests.conftest import ROOT

SAMPLE = ROOT / "models" / "sesr_m5_x2.onnx"


def run(*command: object, code: int = 0, says: str = "", folder: Path | None = None) -> str:
    """Runs a command that must end with ``code`` and say something; returns all that it said."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    told = done.stdout + done.stderr
    if done.returncode != code or says not in told:
        raise SystemExit(f"{' '.join(words)}: ended with {done.returncode}:\n{told}")
    print(f"  {Path(words[0]).name} {' '.join(words[1:])}")
    return told


def first_model(folder: Path) -> Path:
    """Builds, installs into an empty environment and optimises; returns the environment."""
    start = time.monotonic()
    home = folder / "env"
    venv.create(home, with_pip=True)
    run(home / "bin/python", "-m", "pip", "install", "-q", "build")
    run(home / "bin/python", "-m", "build", ROOT, "-o", folder / "dist", says="Successfully built")
    (wheel,) = (folder / "dist").glob("*.whl")
    run(home / "bin/python", "-m", "pip", "install", "-q", wheel)
    run(home / "bin/convc", "optimize", SAMPLE, "-o", "sesr.onnx", says="as fast", folder=folder)
    print(f"{time.monotonic() - start:.0f} s from the tree to the first optimised model")
    return home


def look_around(home: Path, folder: Path) -> None:
    """What works without extras, and what is said of those that are not there."""
    command = home / "bin/convc"
    version = f"convc {convc.__version__}"
    run(command, "--version", says=version)
    run(home / "bin/python", "-m", "convc", "--version", says=version, folder=folder)
    run(command, "passes", says="fuse-convs")
    run(command, "completion", "bash", says="complete ")
    run(command, "verify", SAMPLE, "sesr.onnx", says="equal", folder=folder)
    run(command, "cost", SAMPLE, says="MACs")
    run(command, "print", "sesr.onnx", says="onnx.Conv", folder=folder)
    (folder / "photo.png").write_bytes(b"")
    run(command, "optimize", SAMPLE, "-o", "x.onnx", "--data", "photo.png", code=2,
        says="pip install 'convc[images]'", folder=folder)  # fmt: skip
    run(command, "cost", SAMPLE, "--report", "x.html", code=2,
        says="pip install 'convc[report]'", folder=folder)  # fmt: skip


def run_tests(home: Path, folder: Path) -> None:
    """The tests of the sdist, on the installed package, as a packager runs them."""
    (wheel,) = (folder / "dist").glob("*.whl")
    (source,) = (folder / "dist").glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(folder, filter="data")
    run(home / "bin/python", "-m", "pip", "install", "-q", f"{wheel}[test]")
    tree = folder / source.name.removesuffix(".tar.gz")
    told = run(home / "bin/python", "-m", "pytest", "-q", "-n", "2", folder=tree, says=" passed")
    print(told.splitlines()[-1])


def main() -> None:
    """Runs the whole way, and ends where something is not as it should be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tests", action="store_true", help="run the sdist's tests too (minutes)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = first_model(folder)
        look_around(home, folder)
        if options.tests:
            run_tests(home, folder)


if __name__ == "__main__":
    main()
