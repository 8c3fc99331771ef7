"""Single-channel kernels as compositions: planted ones are found, generic ones are not.

Planted kernels are composed by ``convc.algebra.compose``, which knows nothing of polynomials, and
every factorisation found is judged by composing it again.

Tolerances. A composition K rounded to a stored format differs from what is stored by at most
u·|K| in every tap, u the unit roundoff, so the nearest composition is within u·‖K‖. The arithmetic
of the check is float64: another eps for each of the taps.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest

from convc.algebra import compose
from convc.algebra.factor.polynomial import Composition, decompose, nearest_composition

U32 = 2.0**-24
EPS = 2.0**-52
CORNERS = np.zeros((5, 5))
CORNERS[[0, 4, 0], [0, 0, 4]] = 1.0


def composed(*kernels):
    whole = np.ones((1, 1, 1, 1))
    for kernel in kernels:
        whole, _, _ = compose(whole, np.asarray(kernel, np.float64)[None, None])
    return whole[0, 0]


def relative_error(kernel, factors):
    return np.linalg.norm(kernel - composed(*factors)) / np.linalg.norm(kernel)


def taps_composed(kernels):
    return math.prod(1 + sum(k.shape[axis] - 1 for k in kernels) for axis in (0, 1))


def check_found(stored, found: Composition, precision=U32):
    kernel = stored.astype(np.float64)
    bound = precision + EPS * kernel.size
    assert len(found.factors) == 2
    assert all(f.size > 1 for f in found.factors)
    assert relative_error(kernel, found.factors) <= bound + EPS * kernel.size
    assert found.residual <= bound
    assert found.distance == 0.0
    assert relative_error(kernel, found.parts) <= bound + EPS * kernel.size
    first, second = found.factors
    assert np.linalg.norm(first) == pytest.approx(np.linalg.norm(second), rel=1e-12)
    assert first.flat[np.argmax(np.abs(first))] > 0


def sizes(rng, low, high):
    return tuple(rng.integers(low, high + 1, 2))


def two(rng):
    return [rng.standard_normal(sizes(rng, 2, 5)) for _ in range(2)]


def square(rng):
    return [rng.standard_normal(sizes(rng, 2, 5))] * 2


def three(rng):
    return [rng.standard_normal(sizes(rng, 2, 3)) for _ in range(3)]


def square_and_another(rng):
    repeated = rng.standard_normal(sizes(rng, 2, 3))
    return [repeated, repeated, rng.standard_normal(sizes(rng, 2, 3))]


def nearly_square(rng):
    first = rng.standard_normal(sizes(rng, 2, 4))
    return [first, first + 10.0 ** rng.uniform(-6, -1) * rng.standard_normal(first.shape)]


def binomial(rng):
    """Powers of (1 + x)·(1 + y), as a Gaussian is approximated."""
    return [np.ones((2, 1))] * rng.integers(1, 6) + [np.ones((1, 2))] * rng.integers(1, 6)


def trinomial(rng):
    """A power of a + b·x + c·y, which no kernel of one axis divides."""
    taps = np.append(rng.integers(1, 5, 3), 0).reshape(2, 2)
    return [taps] * rng.integers(2, 5)


def one_axis(rng):
    kernels = [rng.standard_normal((rng.integers(2, 6), 1)) for _ in range(2)]
    return kernels if rng.random() < 0.5 else [k.T for k in kernels]


def outer(rng):
    return [rng.standard_normal((rng.integers(2, 8), 1)), rng.standard_normal((1, 7))]


def content(rng):
    """A factor of one axis, once or twice."""
    kernels = [rng.standard_normal((rng.integers(2, 4), 1))] * rng.integers(1, 3)
    kernels.append(rng.standard_normal(sizes(rng, 2, 4)))
    return kernels if rng.random() < 0.5 else [k.T for k in kernels]


def zero_border(rng):
    first, second = (rng.standard_normal(sizes(rng, 2, 4)) for _ in range(2))
    first[0] = 0.0
    second[:, -1] = 0.0
    return [first, second]


def complex_pair(rng):
    """p² + q² = (p + iq)·(p − iq) and a real factor."""
    p, q = (rng.standard_normal((2, 2)) for _ in range(2))
    return [composed(p, p) + composed(q, q), rng.standard_normal(sizes(rng, 2, 3))]


PLANTED: dict[Callable, int] = {
    two: 300,
    square: 150,
    three: 100,
    square_and_another: 30,
    nearly_square: 70,
    binomial: 50,
    trinomial: 30,
    one_axis: 100,
    outer: 50,
    content: 50,
    zero_border: 50,
    complex_pair: 20,
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_every_planted_composition_is_found(plant):
    assert sum(PLANTED.values()) == 1000
    rng = np.random.default_rng(7)
    for _ in range(PLANTED[plant]):
        factors = plant(rng)
        stored = composed(*factors).astype(np.float32)
        found = decompose(stored)
        check_found(stored, found)
        cuts = range(1, len(factors))
        assert sum(f.size for f in found.factors) <= min(
            taps_composed(factors[:cut]) + taps_composed(factors[cut:]) for cut in cuts
        )


@pytest.mark.parametrize("seed", [139, 181, 291, 2653, 2683, 2699])
def test_two_factors_that_are_almost_one_are_found(seed):
    """Of such pairs one in a hundred: the square beside K is a local minimum of the residual."""
    rng = np.random.default_rng(seed)
    first = rng.standard_normal((3, 2))
    second = first + 1e-3 * rng.standard_normal(first.shape)
    stored = composed(first, second).astype(np.float32)
    check_found(stored, decompose(stored))


@pytest.mark.parametrize("seed", [30, 106, 502, 601])
def test_a_double_factor_of_one_axis_is_found(seed):
    """Of such kernels the few that the closed forms alone do not tell."""
    rng = np.random.default_rng(seed)
    double, other = rng.standard_normal((2, 1)), rng.standard_normal((3, 3))
    for factors in ([double, double, other], [double.T, double.T, other.T]):
        stored = composed(*factors).astype(np.float32)
        check_found(stored, decompose(stored))


def test_small_borders_are_zeros_only_if_all_together_are_small():
    rng = np.random.default_rng(23)
    precision = 2.0**-3
    core = rng.standard_normal((3, 3))
    tail = rng.standard_normal((25, 3))
    tail *= 0.24 * precision / np.linalg.norm(tail, axis=1, keepdims=True)
    kernel = np.vstack([core / np.linalg.norm(core), tail])
    found = decompose(kernel, precision)
    if found.factors:
        check_found(kernel, found, precision)
    small = decompose(kernel[:10], precision)
    check_found(kernel[:10], small, precision)


def test_a_thousand_generic_kernels_are_not_compositions():
    rng = np.random.default_rng(8)
    for _ in range(1000):
        found = decompose(rng.standard_normal(sizes(rng, 2, 7)).astype(np.float32))
        assert found.factors == ()
        # Farther from every composition than rounding could have moved it: a certain no.
        assert U32 < found.distance < 1.0
        assert found.residual == math.inf
        assert len(found.parts) == 1


def perturbed(rng, low, high):
    """A planted kernel of norm one moved by a size between powers of ten, the size, a's shape."""
    first, second = (rng.standard_normal(sizes(rng, 2, 4)) for _ in range(2))
    kernel = composed(first, second)
    move = rng.standard_normal(kernel.shape)
    size = 10.0 ** rng.uniform(low, high)
    moved = kernel / np.linalg.norm(kernel) + size * move / np.linalg.norm(move)
    return moved, size / np.linalg.norm(moved), first.shape


def test_the_distance_is_below_that_to_the_planted_composition():
    rng = np.random.default_rng(9)
    for _ in range(300):
        kernel, size, _ = perturbed(rng, -5, 0)
        found = decompose(kernel)
        assert found.factors == ()
        assert 0.0 < found.distance <= size


def test_the_distance_is_below_the_nearest_composition_found():
    rng = np.random.default_rng(10)
    for _ in range(15):
        kernel, size, shape = perturbed(rng, -5, -2)
        first, second, error = nearest_composition(kernel, shape)
        assert first.shape == shape
        assert relative_error(kernel, (first, second)) == pytest.approx(error, rel=1e-6)
        assert decompose(kernel).distance <= error <= size


@pytest.mark.parametrize(
    "kernel",
    [
        CORNERS,
        np.array([[1, 0, 1], [0, 0, 0], [1, 0, 0]]),
        np.array([[0, 0, 1], [0] * 3, [1, 0, 0]]),
    ],
    ids=["1 + x⁴ + y⁴", "1 + x² + y²", "x² + y²"],
)
def test_no_split_of_any_shape_is_as_near_as_the_distance(kernel):
    found = decompose(kernel)
    assert found.factors == ()
    assert found.distance > 0.01
    h, w = kernel.shape
    shapes = [(i, j) for i in range(1, h + 1) for j in range(1, w + 1)]
    for shape in shapes[1 : len(shapes) // 2 + 1]:
        assert nearest_composition(kernel, shape)[2] > found.distance


def test_the_distance_of_two_by_two_taps_is_exact():
    """Both splits are outer products, so the distance is the smaller singular value."""
    for kernel in np.random.default_rng(22).standard_normal((100, 2, 2)):
        large, small = np.linalg.svd(kernel, compute_uv=False)
        exact = small / math.hypot(large, small)
        assert decompose(kernel).distance == pytest.approx(exact, rel=1e-9)
        assert nearest_composition(kernel, (2, 1))[2] == pytest.approx(exact, rel=1e-9)


def test_complex_factors_are_not_enough():
    rng = np.random.default_rng(11)
    for _ in range(40):
        p, q = rng.standard_normal((2, *sizes(rng, 2, 3)))
        found = decompose((composed(p, p) + composed(q, q)).astype(np.float32))
        assert found.factors == ()
        assert found.distance > U32


def test_sums_of_squares_near_a_square():
    rng = np.random.default_rng(12)
    for exponent in np.linspace(-9, 0, 60):
        p, q = rng.standard_normal((2, 2, 3))
        square, other = composed(p, p), 10.0**exponent * composed(q, q)
        kernel = square + other
        found = decompose(kernel)
        # p² itself is a composition.
        assert found.distance <= np.linalg.norm(other) / np.linalg.norm(kernel)
        if np.linalg.norm(other) <= U32 * np.linalg.norm(kernel):
            check_found(kernel, found)


def test_three_taps_are_two_and_two_if_the_roots_are_real():
    rng = np.random.default_rng(13)
    for taps in (*rng.standard_normal((40, 3)), [1, 2, 1], [1, 0, -1], [1, 0, 1], [0, 0, 1]):
        kernel = np.reshape(taps, (3, 1)).astype(np.float64)
        found = decompose(kernel)
        c, b, a = kernel[:, 0]
        assert bool(found.factors) == (b * b >= 4 * a * c)
        if found.factors:
            check_found(kernel, found)
            assert {f.shape for f in found.factors} == {(2, 1)}
        else:
            assert 0.0 < found.distance <= nearest_composition(kernel, (2, 1))[2] * (1 + EPS)


def test_five_taps_are_always_three_and_three():
    rng = np.random.default_rng(14)
    for kernel in rng.standard_normal((100, 1, 5)).astype(np.float32):
        found = decompose(kernel)
        check_found(kernel, found)
        assert {f.shape for f in found.factors} == {(1, 3)}


def test_the_parts_split_no_further():
    rng = np.random.default_rng(15)
    factors = [
        rng.standard_normal((2, 2)),
        rng.standard_normal((3, 2)),
        rng.standard_normal((2, 4)),
    ]
    found = decompose(composed(*factors, [[0.0], [1.0]]).astype(np.float32))
    assert sorted(p.shape for p in found.parts) == [(2, 1), (2, 2), (2, 4), (3, 2)]


def test_an_exact_zero_border_stays_exact():
    rng = np.random.default_rng(16)
    kernel = np.pad(composed(*two(rng)), ((2, 0), (0, 1))).astype(np.float32)
    found = decompose(kernel)
    check_found(kernel, found)
    whole = composed(*found.factors)
    assert not whole[:2].any()
    assert not whole[:, -1].any()


@pytest.mark.parametrize("shape", [(8, 8), (12, 5), (14, 14)])
def test_fifteen_by_fifteen(shape):
    rng = np.random.default_rng(17)
    other = (16 - shape[0], 16 - shape[1])
    kernel = composed(rng.standard_normal(shape), rng.standard_normal(other)).astype(np.float32)
    check_found(kernel, decompose(kernel))
    generic = decompose(rng.standard_normal((15, 15)))
    assert generic.factors == ()
    assert generic.distance > U32


@pytest.mark.parametrize(("dtype", "precision"), [(np.float16, 2.0**-11), (np.float64, 2.0**-53)])
def test_other_stored_precisions(dtype, precision):
    rng = np.random.default_rng(18)
    for _ in range(15):
        kernel = composed(*(rng.standard_normal(sizes(rng, 2, 4)) for _ in range(2))).astype(dtype)
        check_found(kernel, decompose(kernel, precision), precision)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_the_scale_does_not_matter(scale):
    kernel = np.array([[1.0, 2.0], [3.0, 4.0]])
    whole = composed(kernel, kernel.T)
    found = decompose(scale * whole)
    check_found(scale * whole / scale, Composition(*_scaled(found, scale)))
    assert decompose(scale * CORNERS).distance == pytest.approx(decompose(CORNERS).distance)


def _scaled(found, scale):
    each = math.sqrt(scale)
    part = scale ** (1.0 / len(found.parts))
    factors = tuple(f / each for f in found.factors)
    return factors, tuple(p / part for p in found.parts), found.residual, found.distance


def test_the_same_kernel_gives_the_same_factors():
    kernel = composed(*three(np.random.default_rng(19))).astype(np.float32)
    first, again = decompose(kernel), decompose(kernel.copy())
    for a, b in zip(first.factors + first.parts, again.factors + again.parts, strict=True):
        np.testing.assert_array_equal(a, b)


def test_kernels_too_small_have_no_composition():
    for shape in ((1, 1), (1, 2), (2, 1)):
        found = decompose(np.ones(shape))
        assert found.factors == ()
        assert found.distance == math.inf


def test_a_kernel_of_zeros_is_a_composition_of_zeros():
    found = decompose(np.zeros((3, 4)))
    first, second = found.factors
    assert composed(first, second).shape == (3, 4)
    assert not first.any()
    assert found.residual == found.distance == 0.0
    assert nearest_composition(np.zeros((3, 4)), (2, 2))[2] == 0.0


def test_one_tap_in_a_frame_of_zeros_is_shifts():
    kernel = np.zeros((3, 4))
    kernel[1, 2] = -2.5
    found = decompose(kernel)
    check_found(kernel, found)
    assert sorted(p.shape for p in found.parts) == [(1, 2)] * 3 + [(2, 1)] * 2


def test_the_nearest_composition_of_a_composition_is_itself():
    rng = np.random.default_rng(20)
    for factors in (two(rng), one_axis(rng), [np.ones((2, 2)), rng.standard_normal((1, 3))]):
        first, second, error = nearest_composition(composed(*factors), factors[0].shape)
        assert first.shape == factors[0].shape
        assert second.shape == factors[1].shape
        assert error <= 1e-12


def test_an_outer_product_is_as_near_as_the_singular_values_say():
    kernel = np.random.default_rng(21).standard_normal((4, 6))
    values = np.linalg.svd(kernel, compute_uv=False)
    best = np.linalg.norm(values[1:]) / np.linalg.norm(values)
    assert nearest_composition(kernel, (4, 1))[2] == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize("kernel", [np.ones(3), np.ones((0, 3)), np.ones((1, 1, 3, 3))])
def test_what_is_no_kernel_of_one_channel_is_refused(kernel):
    with pytest.raises(ValueError, match="one channel"):
        decompose(kernel)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="not finite"):
        decompose(np.array([[1.0, np.nan], [1.0, 1.0]]))


@pytest.mark.parametrize("precision", [0.0, 1.0, math.nan])
def test_what_is_no_unit_roundoff_is_refused(precision):
    with pytest.raises(ValueError, match="unit roundoff"):
        decompose(CORNERS, precision)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (4, 2), (0, 2)])
def test_factor_shapes_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match="no two smaller kernels"):
        nearest_composition(np.ones((3, 3)), shape)
