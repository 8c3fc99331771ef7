"""Hostile files for ``--data``: arrays and images that are none, or far too many."""

from __future__ import annotations

import io
import pickle
import zipfile
from random import Random
from typing import Any

import numpy as np

from tests.hostile import bytes_changes

SHAPE = (1, 4, 6, 6)
"""Of the one input, ``x``, of the model they are given to."""


class Touch:
    """Unpickling this would call a function of somebody else's choice."""

    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("unpickled",)


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def header(text: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """An .npy whose header is this text."""
    size = len(text).to_bytes(2 if version[0] == 1 else 4, "little")
    return b"\x93NUMPY" + version + size + text.encode("latin1") + data


def npz(members: dict[str, bytes], *, level: int = 1) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def sound(rng: Random) -> np.ndarray[Any, Any]:
    return np.random.default_rng(rng.randrange(99)).standard_normal(SHAPE).astype(np.float32)


def odd_header(rng: Random) -> bytes:
    descr = rng.choice(
        ("'<f4'", "'|O'", "'<f8'", "'>f4'", "'<U9999999'", "'<i8'", "'<c16'", "'|V9'", "'<M8[s]'",
         "[('a', '<f4')]", "'<f3'", "1", "'<f4' * 10**9", "'|S0'")
    )  # fmt: skip
    shape = rng.choice(
        ("(1, 4, 6, 6)", "(99999999999,)", "(-1,)", "(1, 4, 6)", "()", "(2**40,)", "(1.5,)",
         "(0, 4, 6, 6)", "(9223372036854775807, 2)", "'x'", "(" + "1, " * 99 + ")", "(600000000,)",
         "(" * 300, "(True,)")
    )  # fmt: skip
    order = rng.choice(("True", "False", "3"))
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
    if rng.random() < 0.1:
        text = rng.choice(
            ("__import__('os').abort()", "{" * 2000, " " * 60000, "{}", text + "\n" * 9)
        )
    data = sound(rng).tobytes() if rng.random() < 0.7 else pickle.dumps([Touch()])
    return header(text, data, rng.choice((b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x09")))


def odd_values(rng: Random) -> bytes:
    array = sound(rng)
    return npy(
        rng.choice(
            (
                array.astype(np.float64) * 1e300, array * np.nan, array * np.inf, array > 0,
                array.astype(np.int64), array[:, :3], array[..., :0], array.astype(complex),
                np.array([Touch()], object), np.array("text"), np.array(None, object),
                np.zeros((3, *SHAPE[1:]), np.float32), array.astype(np.float16),
                np.asfortranarray(array), array.astype(">f4"), np.zeros(SHAPE, "M8[s]"),
                np.zeros(SHAPE, [("a", "<f4")]),
            )
        )
    )  # fmt: skip


def odd_members(rng: Random) -> bytes:
    one = npy(sound(rng))
    members = {
        rng.choice(("x.npy", "x", "../x.npy", "/x.npy", "y.npy", "\x1b[31m.npy", "x.npy.npy")): one
    }
    what = rng.randrange(5)
    if what == 0:
        members["x.npy"] = odd_values(rng)
    elif what == 1:
        members["x.npy"] = odd_header(rng)
    elif what == 2:
        members |= {f"n{i}.npy": one for i in range(300)}
    elif what == 3:
        members["x.npy"] = one[: rng.randrange(len(one))]
    return npz(members)


def bomb(rng: Random) -> bytes:
    """A small archive of a large array: all zeros, a thousandth of its size."""
    shape = rng.choice(("(64000000,)", "(1, 4, 4000, 4000)", "(16000000, 4)", "(1, 4, 6, 6)"))
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
    name = rng.choice(("x.npy", "other.npy"))
    members = {"x.npy": npy(sound(rng)), name: header(text, bytes(256_000_000))}
    return npz(members, level=9)


def image(rng: Random) -> bytes:
    """A picture, hardly one any more, or one that says it is enormous."""
    from PIL import Image

    stream = io.BytesIO()
    kind = rng.choice(("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP"))
    Image.new(rng.choice(("RGB", "L")), (16, 12), 99).save(stream, kind)
    data = stream.getvalue()
    if kind == "PNG" and rng.random() < 0.5:
        size = rng.choice((0, 1, 40_000, 2**31 - 1)).to_bytes(4, "big")
        data = data[:16] + size + size + data[24:]
    return bytes_changes.change(data, rng, data) if rng.random() < 0.8 else data


def broken(rng: Random) -> bytes:
    whole = npz({"x.npy": npy(sound(rng))}) if rng.random() < 0.6 else npy(sound(rng))
    return bytes_changes.change(whole, rng, npy(sound(rng)))


ARRAYS = (odd_header, odd_values, odd_members, broken, broken, broken)


def make(rng: Random) -> tuple[str, bytes]:
    """The name and the bytes of a file."""
    if rng.random() < 0.25:
        return f"data{rng.choice(('.png', '.jpg', '.bmp', '.gif', '.tif', '.webp'))}", image(rng)
    data = bomb(rng) if rng.random() < 0.005 else rng.choice(ARRAYS)(rng)
    suffix = ".npz" if data.startswith(b"PK") else ".npy"
    return "data" + (
        suffix if rng.random() < 0.9 else rng.choice((".npz", ".npy", ".bin", ""))
    ), data
