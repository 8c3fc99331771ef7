"""How figures look, and the HTML around them."""

from __future__ import annotations

from html import escape

CSS = """
.convc-figure { margin: 1rem 0; }
.convc-figure svg { display: block; width: 100%; max-width: 36rem; height: auto; }
.convc-figure figcaption { max-width: 36rem; margin-top: .4rem; font-size: .9rem;
  white-space: pre-line; }
.convc-figure .before { --bar: var(--before, #d9730d); }
.convc-figure .after { --bar: var(--after, #2f81d8); }
.convc-scroll { max-width: 60rem; overflow-x: auto; }
.convc-bars { width: 100%; border-collapse: collapse; table-layout: fixed; font-size: .85rem; }
.convc-bars th, .convc-bars td { padding: .3rem .25rem; text-align: left; vertical-align: top;
  border-top: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
.convc-bars thead th { border-top: 0; vertical-align: bottom; }
.convc-bars thead th:first-child { width: 30%; }
.convc-bars tbody th { font-weight: normal; overflow-wrap: anywhere; }
.convc-bars span { display: block; white-space: nowrap; font-variant-numeric: tabular-nums; }
.convc-bars i { display: block; height: .4rem; margin: .05rem 0 .25rem; min-width: 0;
  box-sizing: border-box; border: 1.5px solid var(--bar); print-color-adjust: exact;
  -webkit-print-color-adjust: exact; }
.convc-bars .after i:not(.none), i.after { background: var(--bar); }
.convc-bars i.none { border: 0; background: none; }
.convc-key i { display: inline-block; width: 1.6rem; height: .5rem; margin: 0 .3rem 0 0;
  box-sizing: border-box; border: 1.5px solid var(--bar); print-color-adjust: exact;
  -webkit-print-color-adjust: exact; }
.convc-key span { margin-right: 1rem; white-space: nowrap; }
.convc-images { display: grid; gap: .6rem; margin: .4rem 0; max-width: 60rem;
  grid-template-columns: repeat(2, 1fr); }
@media (min-width: 40rem) { .convc-images { grid-template-columns: repeat(4, 1fr); } }
.convc-images figure { margin: 0; }
.convc-images img { display: block; width: 100%; height: auto; image-rendering: pixelated; }
.convc-images figcaption { font-size: .8rem; }
.convc-hidden { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap; }
"""
"""The style sheet of all figures, once for a page.

The page may set ``--before``, ``--after``, ``--limit`` (colours of marks, at least 3:1 against its
ground) and ``--paper`` (its ground).
"""

COLOURS = {
    "#010101": "currentColor",
    "#020202": "var(--before, #d9730d)",
    "#030303": "var(--after, #2f81d8)",
    "#040404": "var(--limit, #d1242f)",
    "#050505": "var(--paper, Canvas)",
}
"""What stands for each colour that is drawn: matplotlib knows no names of CSS."""

INK, BEFORE, AFTER, LIMIT, PAPER = COLOURS

UNKNOWN = "?"


def figure(content: str, caption: str, name: str) -> str:
    """A figure of HTML with a caption of plain text."""
    return (
        f'<figure class="convc-figure" id="{name}">\n{content}\n'
        f"<figcaption>{escape(caption)}</figcaption>\n</figure>\n"
    )


def note(text: str, name: str) -> str:
    """A line in the place of a figure that cannot be drawn."""
    return f'<p class="convc-note" id="{name}">{escape(text)}</p>\n'


def quantity(number: float, unit: str) -> str:
    """A number with its unit and a decimal prefix: ``1.23 MB``."""
    for prefix, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(number) >= size:
            return f"{number / size:.3g} {prefix}{unit}"
    return f"{number:.3g} {unit}".rstrip()


def percent(share: float) -> str:
    """A share in percent with two digits or so."""
    return f"{share:.0%}" if share >= 0.1 else f"{100 * share:.2g}%"


def counted(count: int, what: str) -> str:
    """A count and its noun: ``1 op``, ``2 ops``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"
