"""All that can be checked of the documentation: ``python -m tests.docs``.

The default tests run the blocks of the pages and look at links, options, reasons and pictures. This
is what takes longer: mypy in strict mode on a script that uses the API (`tests.docs.user_script`),
that script itself, and the site, built strictly.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import copy

from tests.conftest import ROOT

SCRIPT = Path(__file__).with_name("user_script.py")
MODELS = ("sesr_m5_x2", "chain_expand_project")


def main() -> int:
    """Runs each check; the exit code is 0 where all of them pass."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path in (SCRIPT, *(ROOT / "models" / f"{model}.onnx" for model in MODELS)):
            copy(path, folder)
        (folder / "mypy.ini").write_text("[mypy]\nstrict = true\n", encoding="utf-8")
        use = (
            "from pathlib import Path; import user_script as u; "
            f"print(u.faster(Path('{MODELS[0]}.onnx'))); "
            f"u.collapse(Path('{MODELS[1]}.onnx')); print(u.arrays())"
        )
        checks = (
            ("types", ["-m", "mypy", SCRIPT.name], folder),
            ("script", ["-c", use], folder),
            ("site", ["-m", "mkdocs", "build", "--strict", "-d", str(folder / "site")], ROOT),
        )
        codes = [run(*check) for check in checks]
    return max(codes)


def run(title: str, arguments: list[str], folder: Path) -> int:
    """Runs Python in a folder and says how it went."""
    print(f"== {title}", flush=True)
    code = subprocess.run([sys.executable, *arguments], cwd=folder, check=False).returncode
    print(f"== {title}: {'passed' if code == 0 else 'failed'}", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
