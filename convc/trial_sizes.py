"""The sizes of open dims at which two models are compared besides the usual ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

SMALL = 64
"""Where sizes begin that are tried for their remainders only; nets with five halvings take them."""

COARSE = {f"{2**k}×odd": 2**k for k in range(1, 6)}
"""Sizes for nets that halve them and take no odd ones: titles and factors."""

SMALLEST_WINDOWED = 8
"""Open dims of fewer positions are a batch, or the like, along which no window slides."""


def other_sizes(usual: Mapping[str, int]) -> Iterator[tuple[str, dict[str, int], int]]:
    """Sizes of open dims to try as well: their name, the sizes, and on how many inputs.

    Together with the usual ones they leave every remainder by 2, 3 and 4, the strides of most
    layers: what a stride leaves over at the end decides what a border looks like. Where a net takes
    multiples of 2, 4, ... 32 only, odd ones of them are tried in the place of odd sizes.
    """
    others = {name: _other_size(size) for name, size in usual.items()}
    odd = {name: _odd_size(size, i) for i, (name, size) in enumerate(usual.items())}
    yield "other", others, 2
    yield "odd", odd, 1
    for title, factor in COARSE.items():
        coarse = {name: _odd_multiple(size, factor) for name, size in usual.items()}
        if coarse != usual:
            yield title, coarse, 1
    rest = {
        name: _remainders(size, (size, others[name], odd[name])) for name, size in usual.items()
    }
    for number, title in enumerate(("more", "yet more")):
        more = {name: sizes[number] for name, sizes in rest.items()}
        if more != usual:
            yield title, more, 1


def _remainders(size: int, tried: Sequence[int]) -> tuple[int, int]:
    """Two sizes with the remainders by 3 and by 4 that those tried before do not have.

    They are small, since all that they are for is the border; a batch, which no window slides
    along, stays as it is.
    """
    if size < SMALLEST_WINDOWED:
        return size, size
    start, found = min(size, SMALL), list(tried)
    for _ in range(2):
        left = [{n % by for n in range(by)} - {n % by for n in found} for by in (3, 4)]
        found.append(
            max(
                range(start + 11, start - 1, -1),
                key=lambda n: sum(n % by in rest for by, rest in zip((3, 4), left, strict=True)),
            )
        )
    return found[-2], found[-1]


def _other_size(size: int) -> int:
    """A multiple of 32 below larger sizes, so that nets with five halvings run as well."""
    if size < SMALL:
        return size + 1
    multiple = max(1, size * 5 // 7 // 32)
    # Where the one is an odd multiple the other is even, for nets that take no other sizes.
    same = multiple % 2 == size // 32 % 2 and multiple > 1
    return 32 * (multiple - same)


def _odd_multiple(size: int, factor: int) -> int:
    """The least odd multiple of ``factor`` above `SMALL`; smaller sizes stay."""
    return size if size < SMALL else factor * (SMALL // factor + 1 + SMALL // factor % 2)


def _odd_size(size: int, i: int) -> int:
    """An odd size, another for each dim: what holds for even sizes only shows here."""
    return (size + 2 if size < SMALL else size * 5 // 7) // 2 * 2 + 1 + 2 * i
