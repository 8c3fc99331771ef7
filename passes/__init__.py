"""The rewrites of convc: one pass, one file or folder, one piece of algebra.

>>> from passes import FoldAffine, FuseConvs
"""

from passes.annotate_cost import AnnotateCost
from passes.block_diagonal import BlockDiagonal
from passes.commute_linear import CommuteLinear
from passes.factor_kernels import FactorKernels
from passes.flush_subnormals import FlushSubnormals
from passes.fold_affine import FoldAffine
from passes.fuse_convs import FuseConvs
from passes.lower_activations import LowerActivations
from passes.lower_to_conv2d import LowerToConv2d
from passes.lower_to_gemm import LowerToGemm
from passes.lower_to_winograd import LowerToWinograd
from passes.merge_branches import MergeBranches
from passes.prune_dead_channels import PruneDeadChannels
from passes.select_channels import SelectChannels
from passes.simplify import Simplify

__all__ = [
    "AnnotateCost",
    "BlockDiagonal",
    "CommuteLinear",
    "FactorKernels",
    "FlushSubnormals",
    "FoldAffine",
    "FuseConvs",
    "LowerActivations",
    "LowerToConv2d",
    "LowerToGemm",
    "LowerToWinograd",
    "MergeBranches",
    "PruneDeadChannels",
    "SelectChannels",
    "Simplify",
]
