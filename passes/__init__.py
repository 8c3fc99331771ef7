"""The rewrites of convc: one file, one pass, one piece of algebra.

>>> from passes import FoldAffine, FuseConvs
"""

from passes.annotate_cost import AnnotateCost
from passes.flush_subnormals import FlushSubnormals
from passes.fold_affine import FoldAffine
from passes.fuse_convs import FuseConvs
from passes.simplify import Simplify

__all__ = ["AnnotateCost", "FlushSubnormals", "FoldAffine", "FuseConvs", "Simplify"]
