"""The real models beside the project: at which sizes they are run, and which are cut down."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import onnx

FIXED_SIZES: Mapping[str, tuple[int, int]] = {
    # Volumes of 256³ take minutes a run: their fixed spatial sizes are cut before anything else, to
    # 64 where the caller names no size. Float64 takes half a minute for 64³.
    "conv3d_brainchop_meshnet_30_3class": (64, 64),
    "conv3d_brainchop_mnm_large": (256, 64),
    "conv3d_brainchop_model5_gw_ae": (256, 64),
}

SIZES: Mapping[str, Mapping[str, int]] = {
    # What the models' authors feed, where the default sizes are not that.
    "audio_silero": {"sequence": 576},
    "det_yunet_s_dynamic": {"height": 160, "width": 160},
    "ocr_en": {"p2o.DynamicDimension.1": 160},
    "ocr_ppocr": {"p2o.DynamicDimension.1": 160, "p2o.DynamicDimension.2": 160},
    "pose_bodypix": {"unk__349": 160, "unk__350": 160},
    "filter_": {"H": 64, "W": 64},
}


def sizes_of(path: Path) -> Mapping[str, int]:
    """Sizes for the open dims of one of the models."""
    return next((sizes for name, sizes in SIZES.items() if path.name.startswith(name)), {})


def cut_down(path: Path, folder: Path, size: int | None = None) -> Path:
    """The model itself, or a copy in ``folder`` with smaller fixed sizes (see `FIXED_SIZES`)."""
    sides = next((s for name, s in FIXED_SIZES.items() if path.name.startswith(name)), (0, 0))
    fixed, wanted = sides[0], size or sides[1]
    if not fixed or fixed == wanted:
        return path
    model = onnx.load(path)
    for value in (*model.graph.input, *model.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_value == fixed:
                dim.dim_value = wanted
    del model.graph.value_info[:]
    smaller = folder / path.name
    onnx.save(model, smaller)
    return smaller
