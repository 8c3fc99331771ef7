"""The folder that hostile files are tried in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hostile.campaign import Ground, prepare


@pytest.fixture(scope="module")
def ground() -> Iterator[Ground]:
    with pytest.MonkeyPatch.context() as patch:
        prepare()
        made = Ground(patch.setenv)
        yield made
        made.close()
