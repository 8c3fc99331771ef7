"""Docstrings as the site shows them: an extension of griffe, named in mkdocs.yml."""

from __future__ import annotations

import re
from typing import Any

import griffe


class Plain(griffe.Extension):
    """Makes Markdown of what is written for a terminal."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrites the docstring of a module, class or function that has one."""
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(text: str) -> str:
    """The text with a pass's options as attributes, and without reST's double colons.

    A shape such as (N, C, *size) keeps its asterisk.
    """
    text = re.sub(r"^Options:$", "Attributes:", text, flags=re.MULTILINE)
    text = re.sub(r"::$", ":", text, flags=re.MULTILINE)
    parts = re.split(r"(`+.*?`+)", text, flags=re.DOTALL)
    return "".join(
        part if part.startswith("`") else re.sub(r"\*(?=\w+[,)])", r"\\*", part) for part in parts
    )
