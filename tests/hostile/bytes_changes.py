"""Mutations of bytes, whatever they mean."""

# ruff: noqa: ARG001  # all changes take the same arguments
from __future__ import annotations

from random import Random

JUNK = (b"\x00", b"\xff" * 8, b"\x1b[31m", b"PK\x03\x04", b"\x0a\xff\xff\xff\xff\x0f", b"%s%n")


def flip_bits(data: bytes, rng: Random, other: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def set_bytes(data: bytes, rng: Random, other: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        changed[rng.randrange(len(changed))] = rng.choice(
            (0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256))
        )
    return bytes(changed)


def fill_run(data: bytes, rng: Random, other: bytes) -> bytes:
    start, size = _piece(data, rng)
    fill = bytes([rng.choice((0, 0x7F, 0x80, 0xFF))]) * size
    return data[:start] + fill + data[start + size :]


def truncate(data: bytes, rng: Random, other: bytes) -> bytes:
    return data[: rng.randrange(len(data))]


def remove(data: bytes, rng: Random, other: bytes) -> bytes:
    start, size = _piece(data, rng)
    return data[:start] + data[start + size :]


def repeat(data: bytes, rng: Random, other: bytes) -> bytes:
    start, size = _piece(data, rng)
    times = rng.choice((2, 2, 3, 50))
    return data[:start] + data[start : start + size] * times + data[start + size :]


def splice(data: bytes, rng: Random, other: bytes) -> bytes:
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]


def insert(data: bytes, rng: Random, other: bytes) -> bytes:
    start, size = _piece(other, rng)
    piece = rng.choice((*JUNK, other[start : start + size], rng.randbytes(rng.randint(1, 20))))
    place = rng.randrange(len(data) + 1)
    return data[:place] + piece + data[place:]


def change_length(data: bytes, rng: Random, other: bytes) -> bytes:
    """A byte behind one that may be the tag of a nested message becomes another length."""
    tags = [i for i in range(len(data) - 1) if data[i] & 7 == 2 and data[i] >> 3 in range(1, 24)]
    if not tags:
        return truncate(data, rng, other)
    place = rng.choice(tags) + 1
    size = rng.choice((0, 1, max(data[place] - 1, 0), (data[place] + 1) & 127, 127))
    return data[:place] + bytes([size]) + data[place + 1 :]


def _piece(data: bytes, rng: Random) -> tuple[int, int]:
    return rng.randrange(len(data)), min(len(data), 2 ** rng.randint(0, 9))


CHANGES = (
    flip_bits, flip_bits, set_bytes, fill_run, truncate, remove, repeat, splice, insert,
    change_length,
)  # fmt: skip


def change(data: bytes, rng: Random, other: bytes) -> bytes:
    """One to three of the changes above."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        if data:
            data = rng.choice(CHANGES)(data, rng, other)
    return data
