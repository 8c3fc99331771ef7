"""Outputs in awkward places: protected ones, links, odd names, folders that go away."""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from convc.errors import ConvcError
from convc.model_files import load, save
from tests.faults.command import COUNTS, Ended, convc
from tests.faults.disk_full import OLD
from tests.faults.network import write_network
from tests.faults.tally import Tally
from tests.faults.versions import left_overs, look, version

NAMES = ("a name", "Straße-漢字", "line\nbreak", "-o", "n" * 250, "%s{}$HOME", "trailing.dots..")
ELEMENTS = 64**2

Place = Callable[[Tally, Path, Path], None]
"""Tries one place in a folder of its own, with a model that is there."""


def places(folder: Path) -> Iterator[Tally]:
    """One test for each place."""
    model = write_network(folder / "net.onnx")
    for place in PLACES:
        tally = Tally(place.__name__.replace("_", " ").strip())
        inside = folder / place.__name__
        inside.mkdir()
        place(tally, inside, model)
        for left in left_overs(inside):
            tally.require(False, f"left behind: {left.name}")
        yield tally


def _optimize(tally: Tally, model: Path, target: Path, setup: Callable[[], object] | None = None,
              *more: str) -> Ended:  # fmt: skip
    """``convc optimize`` after ``setup``."""
    tally.rounds += 1
    with tempfile.TemporaryDirectory() as elsewhere:
        log = Path(elsewhere, "log")
        arguments = ["optimize", *COUNTS, "--quiet", *more, f"--output={target}", model]
        return convc(arguments, log, setup or (lambda: None))


def without_privileges() -> None:
    """Gives up what root may do besides: no mode of a file would stop it."""
    version, number = 0x20080522, 6
    header = (ctypes.c_uint32 * 2)(version, 0)
    if ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * number)()):
        raise OSError("the capabilities cannot be dropped")


def _refused(tally: Tally, ended: Ended, target: Path, old: bytes | None = OLD) -> None:
    wrong = ended.is_told()
    tally.require(not wrong, wrong)
    found = target.read_bytes() if target.exists() else None
    tally.require(found == old, "the old file is not what it was")


def _written(tally: Tally, ended: Ended, target: Path) -> None:
    tally.require(not ended.code, f"exit code {ended.code}: {ended.errors}")
    try:
        load(target)
    except ConvcError as error:
        tally.require(False, f"cannot be read: {error}")


def a_folder_without_the_right_to_write(tally: Tally, folder: Path, model: Path) -> None:
    target = folder / "out.onnx"
    target.write_bytes(OLD)
    folder.chmod(0o555)
    _refused(tally, _optimize(tally, model, target, without_privileges), target)
    _refused(
        tally,
        _optimize(tally, model, folder / "new.onnx", without_privileges),
        folder / "new.onnx",
        None,
    )
    folder.chmod(0o755)


def a_file_without_the_right_to_write(tally: Tally, folder: Path, model: Path) -> None:
    """To replace it the folder's permission would do: but it is protected."""
    target = folder / "out.onnx"
    target.write_bytes(OLD)
    target.chmod(0o444)
    folder.chmod(0o777)
    _refused(tally, _optimize(tally, model, target, without_privileges), target)


def a_file_that_is_immutable(tally: Tally, folder: Path, model: Path) -> None:
    """``chattr +i`` stops root as well."""
    target = folder / "out.onnx"
    target.write_bytes(OLD)
    if _chattr("+i", target):
        _refused(tally, _optimize(tally, model, target), target)
        _chattr("-i", target)


def a_folder_that_is_immutable(tally: Tally, folder: Path, model: Path) -> None:
    target = folder / "out.onnx"
    target.write_bytes(OLD)
    if _chattr("+i", folder):
        _refused(tally, _optimize(tally, model, target), target)
        _chattr("-i", folder)


def _chattr(flag: str, path: Path) -> bool:
    """Whether that is possible here."""
    with suppress(OSError):
        return not subprocess.run(
            ["chattr", flag, path], capture_output=True, check=False
        ).returncode
    return False


def a_folder_that_goes_away_meanwhile(tally: Tally, folder: Path, model: Path) -> None:
    inside = folder / "gone"
    inside.mkdir()

    def take_away() -> None:
        import convc.commands.optimize as command

        real = command.save

        def late(*arguments: object, **options: object) -> None:
            shutil.rmtree(inside)
            real(*arguments, **options)  # type: ignore[arg-type]

        command.save = late  # type: ignore[assignment]

    ended = _optimize(tally, model, inside / "out.onnx", take_away)
    _refused(tally, ended, inside / "out.onnx", None)
    tally.require(not inside.exists(), "the folder is there again")


def a_link_to_a_file(tally: Tally, folder: Path, model: Path) -> None:
    """The link stays; what it points to is replaced, where that is."""
    real = folder / "real"
    real.mkdir()
    target, link = real / "net.onnx", folder / "link.onnx"
    target.write_bytes(OLD)
    link.symlink_to(Path("real", "net.onnx"))
    _written(tally, _optimize(tally, model, link), target)
    tally.require(link.is_symlink(), "the link is no link any more")


def a_link_to_nothing(tally: Tally, folder: Path, model: Path) -> None:
    link, target = folder / "link.onnx", folder / "new.onnx"
    link.symlink_to(target.name)
    _written(tally, _optimize(tally, model, link), target)
    tally.require(link.is_symlink(), "the link is no link any more")
    lost = folder / "lost.onnx"
    lost.symlink_to(Path("absent", "net.onnx"))
    _refused(tally, _optimize(tally, model, lost), lost, None)


def links_in_a_circle(tally: Tally, folder: Path, model: Path) -> None:
    link = folder / "link.onnx"
    link.symlink_to(link.name)
    ended = _optimize(tally, model, link)
    tally.require(not ended.is_told(), ended.is_told())


def a_link_with_weights_beside_the_model(tally: Tally, folder: Path, model: Path) -> None:
    """Readers look for the data beside the link: that is refused."""
    real = folder / "real"
    real.mkdir()
    target, link = real / "net.onnx", folder / "link.onnx"
    target.write_bytes(OLD)
    link.symlink_to(target)
    _refused(tally, _optimize(tally, model, link, None, "--external-data"), target)
    tally.require(os.listdir(real) == [target.name], "something is beside it")


def a_file_with_two_names(tally: Tally, folder: Path, model: Path) -> None:
    """The other hard link keeps the old file."""
    target, other = folder / "out.onnx", folder / "other"
    target.write_bytes(OLD)
    other.hardlink_to(target)
    _written(tally, _optimize(tally, model, target), target)
    tally.require(other.read_bytes() == OLD, "the other name's file changed")


def odd_names(tally: Tally, folder: Path, model: Path) -> None:
    for name in NAMES:
        target = folder / f"{name}.onnx"[-255:]
        _written(tally, _optimize(tally, model, target), target)
        short = folder / f"{name[:100]}.onnx"
        _written(tally, _optimize(tally, model, short, None, "--external-data"), short)


def names_that_are_too_long(tally: Tally, folder: Path, model: Path) -> None:
    target = folder / ("n" * 251 + ".onnx")
    ended = _optimize(tally, model, target)
    tally.require(not ended.is_told(), ended.is_told())
    target = folder / ("n" * 250 + ".onnx")  # the model's name fits, that of its data does not
    _refused(tally, _optimize(tally, model, target, None, "--external-data"), target, None)


def names_that_are_no_text(tally: Tally, folder: Path, model: Path) -> None:
    target = folder / os.fsdecode(b"latin-\xe9.onnx")
    _written(tally, _optimize(tally, model, target), target)
    other = folder / os.fsdecode(b"data-\xe9.onnx")
    _refused(tally, _optimize(tally, model, other, None, "--external-data"), other, None)


def no_regular_files(tally: Tally, folder: Path, model: Path) -> None:
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    for target in (pipe, Path("/dev/null"), Path("/dev/full")):
        ended = _optimize(tally, model, target)
        tally.require(not ended.is_told(), ended.is_told())
        tally.require(not target.is_file(), f"{target} became a file")


def modes(tally: Tally, folder: Path, model: Path) -> None:
    """A file keeps its mode; a new one has that of new files."""
    target = folder / "out.onnx"
    for mode in (0o600, 0o644, 0o664, 0o755):
        target.write_bytes(OLD)
        target.chmod(mode)
        _written(tally, _optimize(tally, model, target), target)
        tally.require(_mode(target) == mode, f"{_mode(target):o} instead of {mode:o}")
    for mask in (0o022, 0o077, 0o002):
        target.unlink()
        _written(tally, _optimize(tally, model, target, lambda: os.umask(mask)), target)  # noqa: B023
        tally.require(_mode(target) == 0o666 & ~mask, f"{_mode(target):o} with umask {mask:o}")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def another_file_system_than_that_of_temporary_files(
    tally: Tally, folder: Path, model: Path
) -> None:
    """A file cannot be moved from one to another in one step: it is not written there first."""
    shared = Path("/dev/shm")
    if not shared.is_dir() or shared.stat().st_dev == folder.stat().st_dev:
        return
    with tempfile.TemporaryDirectory(dir=shared) as elsewhere:
        target = Path(elsewhere, "out.onnx")
        _written(tally, _optimize(tally, model, target), target)
        tally.require(not left_overs(Path(elsewhere)), "left behind")


def the_input_itself(tally: Tally, folder: Path, model: Path) -> None:
    """Named by ``-o`` it is replaced, like any other file; data that is not convc's own stays."""
    target = folder / "net.onnx"
    shutil.copy(model, target)
    for more in ((), ("--external-data",), ("--external-data",), ()):
        ended = _optimize(tally, target, target, None, *more)
        _written(tally, ended, target)
    _refused(tally, _optimize(tally, target, folder), target, target.read_bytes())
    foreign = folder / "net.bin"
    foreign.write_bytes(OLD)
    _written(tally, _optimize(tally, target, target), target)
    tally.require(foreign.read_bytes() == OLD, "somebody else's file changed")


def data_of_models_that_are_gone(tally: Tally, folder: Path, _model: Path) -> None:
    """At most the data of the version before stays; what another model names stays as well."""
    target, copy = folder / "net.onnx", folder / "copy.onnx.bak"
    for number in range(4):
        tally.rounds += 1
        save(version(number, ELEMENTS), target, external_data=True)
        if number == 0:
            shutil.copy(target, copy)
    shutil.copy(copy, folder / "copy.onnx")
    tally.require(not look(folder / "copy.onnx", {0}), "the copy lost its data")
    tally.require(not look(target, {3}), "the last version is not there")
    names = sorted(file.name for file in folder.glob("*.data"))
    tally.require(len(names) == 3, f"data files: {names}")
    for _ in range(2):
        save(version(5, ELEMENTS), target)
    names = sorted(file.name for file in folder.glob("*.data"))
    tally.require(len(names) == 1, f"data files without a model that needs them: {names}")


PLACES: tuple[Place, ...] = (
    a_folder_without_the_right_to_write, a_file_without_the_right_to_write,
    a_file_that_is_immutable, a_folder_that_is_immutable, a_folder_that_goes_away_meanwhile,
    a_link_to_a_file, a_link_to_nothing, links_in_a_circle, a_link_with_weights_beside_the_model,
    a_file_with_two_names, odd_names, names_that_are_too_long, names_that_are_no_text,
    no_regular_files, modes, another_file_system_than_that_of_temporary_files, the_input_itself,
    data_of_models_that_are_gone,
)  # fmt: skip
