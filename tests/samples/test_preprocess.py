"""--preprocess: its text round-trips, its defaults follow from the model, its mistakes are said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto

from convc.errors import UsageError
from convc.feeds import image_plan
from convc.graph import Graph
from convc.samples.preprocess import (
    COLOURS,
    FITS,
    LAYOUTS,
    Plan,
    Preprocess,
    image_layout,
    parse_preprocess,
)
from tests.tiny import FLOAT, HALF, INT64, graph_of, model, node

NUMBERS = st.floats(-1e3, 1e3, allow_nan=False).filter(bool)
LISTS = st.one_of(
    st.just(()),
    st.lists(NUMBERS, min_size=1, max_size=1),
    st.lists(NUMBERS, min_size=3, max_size=3),
).map(tuple)


def image_model(shape: tuple[int | str | None, ...], type_: int = FLOAT, kind: str = "") -> Graph:
    """Answers with an image, or, where asked, with one number for each channel."""
    nodes = [node(kind or "Identity", "x", "y")]
    return graph_of(model(nodes, inputs={"x": (type_, shape)}, outputs={"y": type_}))


@given(
    st.builds(
        Preprocess,
        size=st.none() | st.tuples(st.integers(1, 9999), st.integers(1, 9999)),
        fit=st.none() | st.sampled_from(FITS),
        layout=st.none() | st.sampled_from(LAYOUTS),
        colour=st.none() | st.sampled_from(COLOURS),
        scale=st.none() | NUMBERS | st.integers(2, 1000).map(lambda n: 1 / n),
        mean=LISTS,
        std=LISTS,
        reduce=st.integers(1, 8),
    )
)
def test_text_round_trips(said: Preprocess) -> None:
    assert parse_preprocess(str(said)) == said
    assert parse_preprocess(str(said).replace(" ", ",")) == said


def test_the_text_is_what_a_person_writes() -> None:
    text = "size=224x256 luma scale=1/255 mean=0.485,0.456,0.406 std=0.5 reduce=3 nhwc resize"
    said = parse_preprocess(text)
    assert said == Preprocess(
        (224, 256), "resize", "nhwc", "luma", 1 / 255, (0.485, 0.456, 0.406), (0.5,), 3
    )
    assert str(said) == (
        "size=224x256 fit=resize layout=nhwc colour=luma scale=1/255 "
        "mean=0.485,0.456,0.406 std=0.5 reduce=3"
    )
    assert parse_preprocess("") == Preprocess()
    assert str(Preprocess()) == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size=224", "size is HxW, as in 224x224, not '224'"),
        ("size=0x5", "size is HxW"),
        ("size=-3x5", "size is HxW"),
        ("size=3x5x7", "size is HxW"),
        ("reduce=0", "reduce is a whole number from 1"),
        ("reduce=1.5", "reduce is a whole number from 1"),
        ("colour=blue", "colour is one of rgb, bgr, luma, gray, not 'blue'"),
        ("layout=hwc", "layout is one of nchw, nhwc"),
        ("fit=pad", "fit is one of crop, resize, cover"),
        ("sepia", "'sepia' is neither key=value nor one of nchw"),
        ("mean=0.5 0.5", "'0.5' is neither"),
        ("mean=", "mean takes numbers"),
        ("mean=0.5,x", "mean takes numbers such as 0.5 or 1/255, not '0.5,x'"),
        ("mean=nan", "mean takes numbers"),
        ("scale=1/0", "scale takes numbers"),
        ("scale=inf", "scale takes numbers"),
        ("scale=0", "scale is never 0"),
        ("scale=1,2", "'2' is neither"),
        ("std=1,0,1", "std is never 0"),
        ("blur=3", "no key 'blur'; it has size, fit, layout"),
        ("luma rgb", "colour is given twice"),
        ("size=5x5,size=5x5", "size is given twice"),
        (",", "'' is neither"),
    ],
)
def test_mistakes_are_said(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_preprocess(text)
    assert str(caught.value).startswith("--preprocess: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((1, 3, 8, 8), "nchw"),
        ((1, 8, 8, 3), "nhwc"),
        ((1, 1, 8, 3), "nchw"),
        (("n", 1, "h", "w"), "nchw"),
        (("n", "h", "w", 1), "nhwc"),
        (("n", "c", "h", "w"), "nchw"),
        ((1, 4, 8, 8), None),
        ((1, 64, 1, 1), None),
        ((1, 3, 8), None),
        ((1, 3, 8, 8, 8), None),
    ],
)
def test_which_inputs_take_images(shape: tuple[int | str | None, ...], layout: str | None) -> None:
    assert image_layout(image_model(shape).inputs[0].type) == layout


def test_defaults_follow_from_the_model() -> None:
    assert image_plan(image_model((1, 1, 8, 6))) == Plan(
        8, 6, "crop", "nchw", "luma", 1, 1 / 255, (0.0,), (1.0,), 1, np.dtype(np.float32)
    )
    pooled = image_plan(image_model((1, 3, 8, 6), HALF, "GlobalAveragePool"))
    assert (pooled.fit, pooled.colour, pooled.dtype) == ("cover", "rgb", np.float16)
    last = image_plan(image_model(("n", 8, 6, 3), TensorProto.UINT8))
    assert (last.layout, last.height, last.width, last.scale) == ("nhwc", 8, 6, 1.0)
    free = image_plan(image_model(("n", 3, "h", "w")))
    assert (free.height, free.width, free.fit) == (None, None, "crop")
    assert image_plan(image_model((1, None, 8, 6)), "gray").channels == 1


def test_what_the_user_says_wins() -> None:
    graph = image_model(("n", 3, "h", "w"))
    said = image_plan(graph, "size=5x7 bgr resize scale=1 mean=1,2,3 std=4 reduce=2")
    assert said == Plan(
        5, 7, "resize", "nchw", "bgr", 3, 1.0, (1.0, 2.0, 3.0), (4.0,), 2, np.dtype(np.float32)
    )


@pytest.mark.parametrize(
    ("shape", "type_", "text", "message"),
    [
        ((1, 4, 8, 8), FLOAT, "", "input 'x' of 1x4x8x8 takes no images (4 axes, 1 or 3 channels)"),
        (("n", "s"), FLOAT, "", "input 'x' of ?x? takes no images"),
        ((1, 3, 8, 8), INT64, "", "input 'x' takes int64, no images"),
        ((4, 3, 8, 8), FLOAT, "", "input 'x' takes 4 at once"),
        ((1, 3, 8, 8), FLOAT, "luma", "nchw luma images have 1 channels, input 'x' of 1x3x8x8"),
        ((1, 1, 8, 8), FLOAT, "rgb", "nchw rgb images have 3 channels"),
        (
            (1, 3, 8, 8),
            FLOAT,
            "nhwc",
            "nhwc rgb images have 3 channels, input 'x' of 1x3x8x8 has 8",
        ),
        ((1, 3, 8, 8), FLOAT, "size=8x9", "size: input 'x' has a fixed width of 8, not 9"),
        ((1, 3, 8, 8), FLOAT, "mean=1,2", "mean is one number or 3, not 2"),
        ((1, 1, 8, 8), FLOAT, "std=1,2,3", "std is one number or 1, not 3"),
    ],
)
def test_what_does_not_fit_the_model_is_said(
    shape: tuple[int | str | None, ...], type_: int, text: str, message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        image_plan(image_model(shape, type_), text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
