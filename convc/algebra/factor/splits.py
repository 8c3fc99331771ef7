"""Guesses at the factors of a polynomial in two variables whose coefficients are rounded.

Each function looks for one kind of factor and proposes lists of real kernels whose product should
be the given one. Nothing here decides: who asks refines a proposal and judges it by its residual,
so that a wrong guess costs time and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from convc.algebra.arrays import Array, as_float64
from convc.algebra.factor.products import (
    EPS,
    derivative,
    multiplication_matrix,
    quotient,
)
from convc.algebra.factor.ruppert import closed_forms, ruppert_norm

_Roots = NDArray[np.complex128]
_LINES = np.array([0.31, -0.47, 0.73, -0.89, 1.13, -1.37])
"""Values of y at which a polynomial is looked at as one in x: any would do, two of them might be
near a place where two factors meet."""
_NEAR = 1e-2
"""A pair of roots may be a double one if its imaginary part is less, relative to its size."""
_LOOSENESS = (3.0, 30.0, 1e3, 1e5)
"""How many times the rounding of the kernel a quantity may be that should be zero, in turn."""
_TINY = 1e-300


def proposals(f: Array, tolerance: float) -> Iterator[list[Array]]:
    """Lists of two or more real kernels whose product may be ``f``, likely ones first.

    Args:
        f: (h, w), of norm one, its border rows and columns not all zero.
        tolerance: how much of ``f`` may be rounding, in the Frobenius norm.
    """
    if f.shape[1] == 1:
        yield from _univariate(f)
    elif f.shape[0] == 1:
        yield from _transposed(_univariate(f.T))
    else:
        yield from _bivariate(f, tolerance)


def _transposed(lists: Iterator[list[Array]]) -> Iterator[list[Array]]:
    yield from ([part.T for part in parts] for parts in lists)


def _bivariate(f: Array, tolerance: float) -> Iterator[list[Array]]:
    values, forms = closed_forms(f)
    # A singular value that should be zero is at most what rounding can make of it.
    nullity = int((values <= ruppert_norm(f.shape) * (tolerance + EPS * f.size)).sum())
    if nullity == 0:
        return
    yield from _contents(f, tolerance)
    yield from _transposed(_contents(f.T, tolerance))
    yield from _repeated(f, tolerance)
    # The singular values should jump after those that should be zero.
    jumps = values[1:] / np.maximum(values[:-1], EPS)
    likely = 1 + np.argsort(-jumps[:nullity], kind="stable")
    for count in [c for c in likely.tolist() if c < f.shape[0]]:
        yield from groups(f, forms[:count])


def _univariate(f: Array) -> Iterator[list[Array]]:
    """A column as real linear and quadratic factors.

    A double root comes out of rounding as a pair, real or complex. So complex pairs near the real
    axis are tried as double roots first, and then as they are.
    """
    if f.shape[0] < 3:
        return
    roots = _roots(f[:, 0])
    infinite = [np.array([[1.0], [0.0]])] * (f.shape[0] - 1 - len(roots))
    real = infinite + [_linear(float(r.real)) for r in roots if r.imag == 0.0]
    pairs = [complex(r) for r in roots if r.imag > 0.0]
    near = [r.imag <= _NEAR * (1.0 + abs(r)) for r in pairs]
    if any(near):
        doubles = [_linear(r.real) for r, is_near in zip(pairs, near, strict=True) if is_near]
        others = [_quadratic(r) for r, is_near in zip(pairs, near, strict=True) if not is_near]
        yield real + doubles + doubles + others
    if len(real) + len(pairs) > 1:
        yield real + [_quadratic(r) for r in pairs]


def _roots(coefficients: Array) -> _Roots:
    """The roots of ``Σ c[i]·xⁱ``, complex ones in conjugate pairs."""
    roots: _Roots = np.roots(coefficients[::-1]).astype(np.complex128)
    return roots


def _linear(root: float) -> Array:
    scale = math.hypot(root, 1.0)
    return np.array([[-root / scale], [1.0 / scale]])


def _quadratic(root: complex) -> Array:
    square = abs(root) ** 2
    return np.array([[square], [-2.0 * root.real], [1.0]]) / (1.0 + square)


def _contents(f: Array, tolerance: float) -> Iterator[list[Array]]:
    """``[c, f / c]`` for a polynomial c in x alone: the roots that all columns share.

    A computed multiple root is off by much, but it is a root of a polynomial that is off by
    little. So all columns are small there too.
    """
    mixed = f @ np.cos(1.0 + 2.0 * np.arange(f.shape[1]))
    roots = _roots(mixed)
    values = np.linalg.norm(f.T @ _powers(roots, f.shape[0]), axis=0)
    tried = 0
    for looseness in _LOOSENESS:
        common = values <= looseness * (tolerance + EPS)
        count = int(common.sum())
        if count == tried:
            continue
        tried = count
        content = as_float64(np.poly(roots[common]).real[::-1, None])
        content /= np.abs(content).max()
        yield [content, quotient(f, content)]


def _repeated(f: Array, tolerance: float) -> Iterator[list[Array]]:
    """``[s, f / s]`` with s the product of the different factors of f, one of each.

    ``s·∂f/∂x = a·f`` with the smallest s: its degree in x is the number of different roots on a
    line y = const, its degree in y likewise.
    """
    rows, columns = _misfits(f), _misfits(f.T)
    tried = set()
    for looseness in _LOOSENESS:
        limit = looseness * (tolerance + EPS)
        degrees = (_first_below(rows, limit), _first_below(columns, limit))
        if degrees in tried or degrees[0] > len(rows) or degrees[1] > len(columns):
            continue
        tried.add(degrees)
        radical = _logarithm(f, derivative(f), degrees)
        yield [radical, quotient(f, radical)]


def _misfits(f: Array) -> list[float]:
    """How far f is on lines y = const from having 1, 2 … and all but one of its roots different.

    σ_min of ``(s, a) ↦ s·f' − a·f`` with s of degree 1, 2 …; the larger one of two lines, as two
    roots may be near each other on one.
    """
    lines = [f @ y ** np.arange(f.shape[1])[:, None] for y in _LINES[:2]]
    units = [line / max(float(np.linalg.norm(line)), _TINY) for line in lines]
    return [max(_misfit(unit, count) for unit in units) for count in range(1, f.shape[0] - 1)]


def _misfit(line: Array, count: int) -> float:
    slope = derivative(line)
    matrix = np.hstack(
        [
            multiplication_matrix(slope / max(float(np.linalg.norm(slope)), _TINY), (count + 1, 1)),
            multiplication_matrix(line, (count, 1)),
        ]
    )
    return float(np.linalg.svd(matrix, compute_uv=False)[-1])


def _first_below(misfits: list[float], limit: float) -> int:
    """The first degree whose misfit is at most ``limit``, else one more than there are."""
    found = [degree for degree, misfit in enumerate(misfits, 1) if misfit <= limit]
    return found[0] if found else len(misfits) + 1


def groups(f: Array, forms: list[tuple[Array, Array]]) -> Iterator[list[Array]]:
    """The real factors of an f without repeated ones, from Ruppert's closed forms.

    Every closed form is a combination ``Σ λᵢ·dfᵢ/fᵢ`` over the complex factors, so that its
    residue at a root x of f(·, y) is the λ of the factor that vanishes there. Roots with equal
    residues belong to one factor, and factors with conjugate roots to one real factor.
    """
    y, roots = _best_line(f)
    if len(roots) != f.shape[0] - 1:
        return
    slopes = _at(derivative(f), roots, y)
    residues = np.stack([_at(g, roots, y) / slopes for g, _ in forms], axis=1)
    found = _real_groups(residues, roots)
    if len(found) > 1:
        yield [_factor_of(f, forms, residues, group) for group in found]


def _best_line(f: Array) -> tuple[float, _Roots]:
    """The y, and the roots of f(·, y), where the worst root is conditioned best."""
    best = (np.inf, 0.0, np.empty(0, np.complex128))
    for y in _LINES:
        line = f @ y ** np.arange(f.shape[1])
        roots = _roots(line)
        sizes = np.abs(line) @ np.abs(_powers(roots, len(line)))
        slopes = np.abs(_at(derivative(f), roots, y))
        worst = float(np.max(sizes / np.maximum(slopes, _TINY), initial=0.0))
        if worst < best[0]:
            best = (worst, float(y), roots)
    return best[1], best[2]


def _at(f: Array, x: _Roots, y: float) -> _Roots:
    """f(x, y) at several x, in units of ``_powers``."""
    values: _Roots = (f @ y ** np.arange(f.shape[1])) @ _powers(x, f.shape[0])
    return values


def _powers(x: _Roots, count: int) -> _Roots:
    """The powers 0 to count − 1 of each x, divided by the last power of √(1 + |x|²).

    So no root is too large: (count, len(x)).
    """
    sizes = np.hypot(np.abs(x), 1.0)
    exponents = np.arange(count)[:, None]
    powers: _Roots = (x / sizes) ** exponents * (1.0 / sizes) ** (count - 1 - exponents)
    return powers


def _real_groups(residues: _Roots, roots: _Roots) -> list[NDArray[np.intp]]:
    """Indices of roots by real factor: as many clusters of residues as forms and one more.

    Single linkage, then the clusters that hold conjugate roots joined.
    """
    size, forms = residues.shape
    labels = np.arange(size)
    gaps = np.linalg.norm(residues[:, None] - residues[None, :], axis=2)
    left, right = np.triu_indices(size, 1)
    for edge in np.argsort(gaps[left, right], kind="stable"):
        if len(set(labels.tolist())) <= forms + 1:
            break
        labels[labels == labels[right[edge]]] = labels[left[edge]]
    conjugates = np.argmin(np.abs(roots.conj()[:, None] - roots[None, :]), axis=1)
    for index, other in enumerate(conjugates):
        labels[labels == labels[other]] = labels[index]
    return [np.flatnonzero(labels == label) for label in dict.fromkeys(labels.tolist())]


def _factor_of(
    f: Array,
    forms: list[tuple[Array, Array]],
    residues: _Roots,
    group: NDArray[np.intp],
) -> Array:
    """The real factor a whose roots are the group's, from its logarithmic derivative.

    The combination of the forms and df/f whose residue is 1 in the group and 0 elsewhere is da/a.
    The forms leave out the highest power of y in h, so that df/f's share tells the degree in y.
    """
    wanted = np.zeros(len(residues))
    wanted[group] = 1.0
    complex_design = np.column_stack([residues, np.ones(len(residues))])
    design = np.vstack([complex_design.real, complex_design.imag])
    target = np.concatenate([wanted, np.zeros(len(residues))])
    shares = np.linalg.lstsq(design, target, rcond=None)[0]
    g = shares[-1] * derivative(f)
    for share, (of_g, _) in zip(shares, forms, strict=False):
        g = g + share * of_g
    columns = min(max(round(float(shares[-1]) * (f.shape[1] - 1)), 0), f.shape[1] - 1)
    return _logarithm(f, g, (len(group), columns))


def _logarithm(f: Array, g: Array, degrees: tuple[int, int]) -> Array:
    """The a of given degrees with ``a·g`` in the multiples of f, of degree one less in x.

    For ``g = f·∂a/∂x/a``: the smallest solution of ``a·g = b·f``.
    """
    rows, columns = degrees
    of_a = multiplication_matrix(g / max(float(np.linalg.norm(g)), _TINY), (rows + 1, columns + 1))
    of_b = multiplication_matrix(f, (rows, columns + 1))
    vectors = np.linalg.svd(np.hstack([of_a, of_b]), full_matrices=False)[2]
    solution: Array = vectors[-1][: (rows + 1) * (columns + 1)].reshape(rows + 1, columns + 1)
    return solution
