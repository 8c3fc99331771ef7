"""Draws the pictures of the pass pages: a sample model before and after the pass has run on it.

    python docs/make_pictures.py          writes docs/pictures/<pass>-before.svg and -after.svg
    python docs/make_pictures.py --show   prints the lines that the pages show them with

The drawings come from the graphs themselves, and the same graph gives the same bytes.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from pathlib import Path

import convc
from convc.conv import group_of, ints
from convc.ir import Op, Value
from convc.pipeline import Pipeline

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "pictures"
SAMPLES: Mapping[str, tuple[str, str]] = {
    "simplify": ("redundant_ops", "simplify"),
    "prune-dead-channels": ("dead_filters", "prune-dead-channels"),
    "fold-affine": ("conv_affine", "fold-affine"),
    "fuse-convs": ("chain_expand_project", "fuse-convs"),
    "merge-branches": ("repvgg_block", "merge-branches"),
    "commute-linear": ("pointwise_then_pool", "commute-linear"),
    "factor-kernels": ("tucker_planted", "factor-kernels"),
    "select-channels": ("digits_vgg", "select-channels{share=0.5}"),
    "block-diagonal": ("block_diagonal_hidden", "block-diagonal"),
    "lower-to-conv2d": ("transpose_then_conv", "lower-to-conv2d"),
    "lower-to-gemm": ("patchify", "lower-to-gemm"),
    "lower-to-winograd": ("tucker_planted", "lower-to-winograd"),
    "lower-activations": ("prelu_softmax", "lower-activations{forms=depthwise}"),
}
"""Pass → the sample model and the pipeline that the pictures show."""

CONVS = frozenset({"Conv", "ConvTranspose"})
PRODUCTS = frozenset({"Gemm", "MatMul"})
MOVES = frozenset(
    {"Concat", "DepthToSpace", "Flatten", "Gather", "Pad", "Reshape", "Slice", "Split"}
    | {"Squeeze", "Transpose", "Unsqueeze"}
)
LINE, GAP, MARGIN, LETTER = 17, 32, 12, 7
STYLE = """
text { font: 12px system-ui, sans-serif; text-anchor: middle; fill: #1f2933; }
.kind { font-weight: 600; }
.shape { font-size: 11px; fill: #52606d; }
rect { stroke-width: 1.2; fill: #eef1f4; stroke: #9aa5b1; }
.linear { fill: #dceafc; stroke: #4a7fc1; }
.move { fill: #fdf0d5; stroke: #c08a2d; }
.edge rect { fill: none; stroke: #7b8794; stroke-dasharray: 3 3; }
path { fill: none; stroke: #7b8794; stroke-width: 1.3; }
marker path { fill: #7b8794; stroke: none; }
.edge text { fill: #616e7c; }
@media (prefers-color-scheme: dark) {
text { fill: #f0f4f8; }
.shape { fill: #bcccdc; }
rect { fill: #323f4b; stroke: #7b8794; }
.linear { fill: #1f3f66; stroke: #6fa3e0; }
.move { fill: #55431a; stroke: #d9a441; }
.edge text { fill: #bcccdc; }
}
"""


@dataclass(frozen=True)
class Box:
    """What is written of one op, line by line, and how it is coloured."""

    style: str
    lines: tuple[tuple[str, str], ...]

    @property
    def width(self) -> int:
        """In pixels, wide enough for the longest line; a multiple of 4: halves are whole."""
        return (max(len(text) for _, text in self.lines) * LETTER + 22 + 3) // 4 * 4

    @property
    def height(self) -> int:
        """In pixels."""
        return len(self.lines) * LINE + 10


def dims(value: Value) -> str:
    """The shape of a value, such as 1×16×24×24."""
    return "×".join("?" if dim is None else str(dim) for dim in value.shape or ())


def title(op: Op) -> str:
    """The kind of an op and the size of its kernel, such as Conv 3×3."""
    if op.is_boundary:
        return op.kind.lower()
    kernel = ints(op, "kernel_shape", ())
    if not kernel and op.kind in CONVS:
        weight = op.operands[1]
        kernel = weight.shape[2:] if weight is not None and weight.shape else ()  # type: ignore[assignment]
    return f"{op.kind} {'×'.join(map(str, kernel))}".rstrip()


def details(op: Op) -> str:
    """Channels, strides, pads and the rest of a convolution or product; of others nothing."""
    weight = op.operand(1)
    if op.kind in PRODUCTS:
        constant = [v for v in op.inputs[:2] if v is not None and v.array is not None]
        return f"with {dims(constant[0])}" if constant else ""
    if op.kind not in CONVS or weight is None or weight.shape is None:
        return ""
    group = group_of(op)
    first, second = (int(str(size)) for size in weight.shape[:2])
    channels = (second * group, first) if op.kind == "Conv" else (first, second * group)
    told = [f"{channels[0]} → {channels[1]}"]
    stride, pads, dilation = (ints(op, name, ()) for name in ("strides", "pads", "dilations"))
    told += [f"stride {_one(stride)}"] if set(stride) - {1} else []
    told += [f"pad {_one(pads)}"] if set(pads) - {0} else []
    told += [f"dilation {_one(dilation)}"] if set(dilation) - {1} else []
    told += [f"{group} groups"] if group > 1 else []
    return ", ".join(told)


def _one(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(set(numbers)) == 1 else "·".join(map(str, numbers))


def box(op: Op) -> Box:
    """What is drawn of an op."""
    shape = dims(op.results[0]) if op.results else ""
    lines = [("kind", title(op)), ("", details(op)), ("shape", shape)]
    style = "edge" if op.is_boundary else "move" if op.kind in MOVES else ""
    if op.kind in CONVS | PRODUCTS:
        style = "linear"
    return Box(style, tuple((name, text) for name, text in lines if text))


def drawn(graph: convc.Graph) -> list[Op]:
    """The ops that are drawn: all but the constants."""
    return [op for op in graph.ops() if op.array is None]


def sources(op: Op) -> Iterator[Op]:
    """The drawn ops whose results ``op`` uses, each once."""
    yield from dict.fromkeys(v.op for v in op.operands if v is not None and v.array is None)


Spot = tuple[int, object]
"""A layer, and an op or, where an edge passes by, what tells that edge from others."""


def layers(ops: Sequence[Op]) -> tuple[list[list[Spot]], list[list[Spot]]]:
    """The ops in layers by their distance from the inputs, and each edge as its spots."""
    depth: dict[Op, int] = {}
    for op in ops:
        depth[op] = max((depth[other] + 1 for other in sources(op)), default=0)
    rows: dict[int, list[Spot]] = defaultdict(list)
    for op in ops:
        rows[depth[op]].append((depth[op], op))
    edges = []
    for op in ops:
        for other in sources(op):
            passing = [(d, (other, op)) for d in range(depth[other] + 1, depth[op])]
            for spot in passing:
                rows[spot[0]].append(spot)
            edges.append([(depth[other], other), *passing, (depth[op], op)])
    above: dict[Spot, list[Spot]] = defaultdict(list)
    for edge in edges:
        for upper, lower in pairwise(edge):
            above[lower].append(upper)
    ordered = [rows[number] for number in sorted(rows)]
    for upper_row, row in pairwise(ordered):
        place = {spot: number for number, spot in enumerate(upper_row)}
        row.sort(key=lambda s: sum(place[u] for u in above[s]) / max(len(above[s]), 1))
    return ordered, edges


def svg(graph: convc.Graph, caption: str) -> str:
    """The graph as an SVG file, inputs on top."""
    rows, edges = layers(drawn(graph))
    boxes = {spot: box(spot[1]) for row in rows for spot in row if isinstance(spot[1], Op)}
    slim = Box("", (("", ""),))
    widths = [sum(boxes.get(s, slim).width + GAP // 2 for s in row) for row in rows]
    width = max(widths) + 2 * MARGIN
    middle: dict[Spot, tuple[int, int, int]] = {}  # x, top, bottom
    top = MARGIN
    for row, row_width in zip(rows, widths, strict=True):
        tall = max(boxes.get(s, slim).height for s in row)
        x = (width - row_width) // 2 + GAP // 4
        for spot in row:
            one = boxes.get(spot, slim)
            inset = (tall - one.height) // 2 if spot in boxes else 0
            ends = (top + inset, top + inset + one.height) if spot in boxes else (top, top + tall)
            middle[spot] = (x + one.width // 2, *ends)
            x += one.width + GAP // 2
        top += tall + GAP
    height = top - GAP + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="{escape(caption)}">',
        f"<title>{escape(caption)}</title>",
        f"<style>{STYLE}</style>",
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0 8 4 0 8z"/></marker>',
        *(_edge([middle[spot] for spot in edge]) for edge in edges),
        *(_drawn_box(one, *middle[spot][:2]) for spot, one in boxes.items()),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _edge(spots: Sequence[tuple[int, int, int]]) -> str:
    x, _, y = spots[0]
    path = f"M{x} {y}"
    for to, top, bottom in spots[1:]:
        half = (y + top) // 2
        path += f"C{x} {half} {to} {half} {to} {top}"
        x, y = to, bottom
        if (to, top, bottom) != spots[-1]:
            path += f"V{bottom}"
    return f'<path d="{path}" marker-end="url(#tip)"/>'


def _drawn_box(one: Box, x: int, top: int) -> str:
    style = f' class="{one.style}"' if one.style else ""
    inner = "" if one.style == "edge" else style
    lines = "".join(
        f'<text{f" class={name!r}" if name else ""} x="{x}" y="{top + 18 + number * LINE}">'
        f"{escape(text)}</text>"
        for number, (name, text) in enumerate(one.lines)
    ).replace("'", '"')
    rect = (
        f'<rect{inner} x="{x - one.width // 2}" y="{top}" width="{one.width}" '
        f'height="{one.height}" rx="6"/>'
    )
    return f"<g{style if one.style == 'edge' else ''}>{rect}{lines}</g>"


def told(graph: convc.Graph) -> str:
    """The graph in words: its ops in their order, with how many of a kind follow each other."""
    names = [f"{title(op)} {details(op)}".rstrip() for op in drawn(graph) if not op.is_boundary]
    counted: list[tuple[str, int]] = []
    for name in names:
        if counted and counted[-1][0] == name:
            counted[-1] = (name, counted[-1][1] + 1)
        else:
            counted.append((name, 1))
    return "; ".join(f"{count} times {name}" if count > 1 else name for name, count in counted)


def pictures(name: str) -> dict[str, tuple[str, str]]:
    """For a pass: file name → what it shows in words, and its content."""
    model, text = SAMPLES[name]
    graph = convc.load(ROOT / "models" / f"{model}.onnx")
    found = {}
    for side in ("before", "after"):
        if side == "after":
            Pipeline.parse(text).run(graph)
        caption = f"{side.capitalize()}: {told(graph)}"
        found[f"{name}-{side}.svg"] = (caption, svg(graph, caption))
    return found


def shown(name: str) -> str:
    """The lines that a page shows the two pictures with."""
    lines = [f"![{caption}](../pictures/{file})" for file, (caption, _) in pictures(name).items()]
    return "\n".join(['<div class="pictures" markdown>', "", *lines, "", "</div>"])


def main(arguments: Sequence[str]) -> None:
    """Writes all pictures, or prints the lines that show them."""
    for name in SAMPLES:
        if "--show" in arguments:
            print(f"{name}\n{shown(name)}\n")
            continue
        for file, (_, content) in pictures(name).items():
            (PICTURES / file).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
