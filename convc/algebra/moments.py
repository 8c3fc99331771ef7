"""Second moments of what a linear layer reads and of what it should give.

A layer y = W x + b with samples (x, y): all that a least-squares fit of W and b, or of any
factorisation of W, needs to know is the means and the second moments of x and y. They are summed in
float64, sample by sample, so that no more than a batch of patches is held; in float32 the sums
would floor the error of a fit near 1e-5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from convc.algebra.arrays import AnyArray, Array, as_float64


@dataclass(frozen=True, slots=True)
class Moments:
    """Means and centred second moments of a layer's patches x and of its wanted responses y.

    A patch is what one output position of one group reads, in the order of the kernel: D = C/g ·
    taps numbers, channels first. g is the number of groups, K the number of outputs.

    Attributes:
        count: number of samples.
        mean_x: (g, D).
        mean_y: (K,).
        xx: (g, D, D), mean of (x − mean)(x − mean)ᵀ.
        xy: (g, D, K/g), mean of (x − mean)(y − mean)ᵀ.
        yy: (K,), variances of y.
    """

    count: int
    mean_x: Array
    mean_y: Array
    xx: Array
    xy: Array
    yy: Array

    @property
    def group(self) -> int:
        """Number of groups."""
        return int(self.xx.shape[0])

    def loss(self, kernel: AnyArray) -> float:
        """Part of the responses' variance that a kernel misses, with the best bias for it.

        Args:
            kernel: (K, C/g, *taps), or any shape of (K, D) in that order.

        Returns:
            Σ_k E(y_k − w_k·x − b_k)² / Σ_k Var(y_k); 0 where the responses do not vary and the
            kernel gives none.
        """
        missed = float(self.residual(kernel).sum())
        total = float(self.yy.sum())
        return missed / total if total > 0 else float(missed > 0)

    def residual(self, kernel: AnyArray) -> Array:
        """(K,): the variance of each response that a kernel misses; not below 0."""
        w = self._grouped(kernel)
        halves: Array = w @ self.xx - 2.0 * self.xy.swapaxes(1, 2)
        missed: Array = self.yy + (halves * w).sum(axis=2).reshape(-1)
        return np.maximum(missed, 0.0)

    def bias(self, kernel: AnyArray) -> Array:
        """(K,): the bias that makes the mean response right for a kernel."""
        means = self._grouped(kernel) @ self.mean_x[:, :, np.newaxis]
        bias: Array = self.mean_y - means.reshape(-1)
        return bias

    def misses(self, kernel: AnyArray, bias: AnyArray) -> float:
        """As `loss`, with a bias (K,) as it is."""
        missed = float(self.residual(kernel).sum() + np.square(self.bias(kernel) - bias).sum())
        total = float(self.yy.sum())
        return missed / total if total > 0 else float(missed > 0)

    def _grouped(self, kernel: AnyArray) -> Array:
        group, width = self.mean_x.shape
        return as_float64(kernel).reshape(group, -1, width)


def white(kernel: AnyArray, group: int = 1) -> Moments:
    """The moments of a layer on white noise: a fit to them knows the weights alone.

    The loss of a kernel K is then ‖K − kernel‖² / ‖kernel‖².

    Args:
        kernel: (K, C/g, *taps).
        group: g.
    """
    w = as_float64(kernel).reshape(group, kernel.shape[0] // group, -1)
    width = w.shape[2]
    return Moments(
        count=1,
        mean_x=np.zeros((group, width)),
        mean_y=np.zeros(kernel.shape[0]),
        xx=np.broadcast_to(np.eye(width), (group, width, width)),
        xy=w.swapaxes(1, 2),
        yy=np.square(w).sum(axis=2).reshape(-1),
    )


def joined(a: Moments, b: Moments) -> Moments:
    """The moments of the samples of both."""
    n = a.count + b.count
    share = b.count / n
    dx, dy = b.mean_x - a.mean_x, b.mean_y - a.mean_y
    spread = share * (1 - share)
    by_group = dy.reshape(len(dx), 1, -1)
    return Moments(
        count=n,
        mean_x=a.mean_x + share * dx,
        mean_y=a.mean_y + share * dy,
        xx=(1 - share) * a.xx + share * b.xx + spread * dx[:, :, np.newaxis] * dx[:, np.newaxis],
        xy=(1 - share) * a.xy + share * b.xy + spread * dx[:, :, np.newaxis] * by_group,
        yy=(1 - share) * a.yy + share * b.yy + spread * dy * dy,
    )


class Gathering:
    """Sums samples up to `Moments`, batch by batch.

    Small batches wait for each other: a product of D × D numbers for a few patches would cost more
    than they are worth.

    The means of the first batch are taken from all samples: what is summed is then of the size of
    the variances, and a channel with a large mean loses no digits.

    Args:
        group: g.
        width: D.
        outputs: K.
    """

    def __init__(self, group: int, width: int, outputs: int) -> None:
        self._count = 0
        self._from_x = np.zeros((group, 1, width))
        self._from_y = np.zeros(outputs)
        self._x = np.zeros((group, width))
        self._y = np.zeros(outputs)
        self._xx = np.zeros((group, width, width))
        self._xy = np.zeros((group, width, outputs // group))
        self._yy = np.zeros(outputs)
        self._waiting: list[tuple[AnyArray, AnyArray]] = []

    def add(self, x: AnyArray, y: AnyArray) -> None:
        """Adds n samples: patches (g, n, D) and wanted responses (n, K)."""
        if len(y):
            self._waiting.append((x, y))
        if sum(len(responses) for _, responses in self._waiting) >= self._x.shape[1]:
            self._sum_up()

    def _sum_up(self) -> None:
        if not self._waiting:
            return
        patches = as_float64(np.concatenate([x for x, _ in self._waiting], axis=1))
        wanted = as_float64(np.concatenate([y for _, y in self._waiting]))
        self._waiting.clear()
        if not self._count:
            self._from_x = patches.mean(axis=1, keepdims=True)
            self._from_y = wanted.mean(axis=0)
        patches = patches - self._from_x
        wanted = wanted - self._from_y
        group, count, _ = patches.shape
        turned = patches.swapaxes(1, 2)
        self._count += count
        self._x += patches.sum(axis=1)
        self._y += wanted.sum(axis=0)
        self._xx += turned @ patches
        self._xy += turned @ wanted.reshape(count, group, -1).swapaxes(0, 1)
        self._yy += np.square(wanted).sum(axis=0)

    def moments(self) -> Moments:
        """What was gathered; raises ValueError where no sample was added."""
        self._sum_up()
        if not self._count:
            raise ValueError("no samples")
        n = self._count
        x, y = self._x / n, self._y / n
        turned = x[:, :, np.newaxis]
        return Moments(
            count=n,
            mean_x=self._from_x[:, 0] + x,
            mean_y=self._from_y + y,
            xx=self._xx / n - turned @ turned.swapaxes(1, 2),
            xy=self._xy / n - turned @ y.reshape(len(x), 1, -1),
            yy=np.maximum(self._yy / n - y * y, 0.0),
        )
