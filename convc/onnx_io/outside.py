"""The file beside a model that holds its weights: how it is named, written, and removed again.

It is named after the model and its own content. So the data of a new model never takes the place
of that of the old one, and whoever reads meanwhile finds the two that belong together: the old data
stays when the model is replaced. It is removed when the model is written the next time, and no
other one in the folder names it.
"""

from __future__ import annotations

import hashlib
import mmap
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from onnx import ModelProto

from convc.errors import UsageError
from convc.files import to_oneself, write_whole
from convc.onnx_io.tensors import Payload
from convc.onnx_io.wire import reference

DIGEST = 8
"""Bytes of the content's digest in the name."""
MODELS = "*.onnx*"
"""What may name a data file: models, and copies kept as ``net.onnx.bak``."""


def move_weights_out(model: ModelProto, weights: Mapping[int, Payload], path: Path) -> None:
    """Moves weights into a file beside the model of ``path``.

    Args:
        model: some of its initialisers have no data; they are told where it is.
        weights: the bytes of these, by their place in the list of initialisers.
        path: the model's file.

    Raises UsageError where the file cannot be written, or where ``path`` is a symbolic link: a
    model is read through a link, but its data is looked for beside the link.
    """
    if not weights:
        return
    if path.is_symlink():
        raise UsageError(
            f"{path}: is a symbolic link, and the weights lie in a file of their own, for which "
            "readers look beside the link; name the file that it points to"
        )
    digest = hashlib.blake2b(digest_size=DIGEST)
    for data in weights.values():
        digest.update(data)
    target = path.parent / f"{path.stem}.{digest.hexdigest()}.data"
    try:
        target.name.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"{path}: a name that is no UTF-8 cannot stand in a model") from error
    write_whole(target, *weights.values())
    offset = 0
    for index, data in weights.items():
        model.graph.initializer[index].MergeFromString(reference(target.name, offset, len(data)))
        offset += len(data)


def remove_unused(path: Path) -> None:
    """Removes data files of the model of ``path`` that no model in its folder names.

    They are those of models that it has replaced, and of runs that ended in between. Nothing is
    removed while somebody else writes into the folder, or where a model there cannot be read.
    """
    if not any(_data_files(path)):
        return
    with to_oneself(path.parent) as alone:
        if not alone:
            return
        # Looked for anew: who wrote until now is done.
        unused = {file.name.encode(): file for file in _data_files(path)}
        with suppress(OSError, ValueError):
            for model in path.parent.glob(MODELS):
                for name in _named(model, list(unused)):
                    del unused[name]
            for file in unused.values():
                file.unlink()


def _data_files(path: Path) -> Iterator[Path]:
    """The files that `move_weights_out` may have made for this model."""
    pattern = re.compile(rf"{re.escape(path.stem)}\.[0-9a-f]{{{2 * DIGEST}}}\.data")
    with suppress(OSError):
        yield from (file for file in path.parent.iterdir() if pattern.fullmatch(file.name))


def _named(model: Path, names: list[bytes]) -> list[bytes]:
    """Those of ``names`` that stand somewhere in the bytes of a file."""
    if not model.is_file() or not model.stat().st_size:
        return []
    with model.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return [name for name in names if data.find(name) >= 0]
