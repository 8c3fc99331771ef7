"""What was measured, kept between runs: one small SQLite file in the user's cache folder."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

from convc.machine import cache_folder, features, processor
from convc.runtime import Settings, physical_cores, version
from convc.version import __version__

FILE = "timings.sqlite"

FORMAT = 2
"""Of the entries; entries of other formats are never found."""

WAIT = 5.0
"""Seconds to wait for another process that is writing."""

_TABLE = (
    "CREATE TABLE IF NOT EXISTS timings "
    "(key TEXT PRIMARY KEY, kind TEXT, value TEXT, made REAL) WITHOUT ROWID"
)


def environment(settings: Settings) -> str:
    """What besides the graphs decides: processor, runtime, provider, threads, and convc's rules."""
    threads = settings.threads or physical_cores()
    where = (processor(), features(), version(), settings.provider, threads)
    return repr((FORMAT, __version__, *where))


class Store:
    """Entries by key. A file that cannot be read or written is as good as an empty one."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or cache_folder() / FILE

    def get(self, kind: str, *key: str) -> Any:
        """The entry, None where there is none."""
        with suppress(sqlite3.Error, ValueError, OSError), self._reading() as connection:
            row = connection.execute(
                "SELECT value FROM timings WHERE key = ?", (_digest(kind, *key),)
            ).fetchone()
            return None if row is None else json.loads(row[0])
        return None

    def put(self, value: Any, kind: str, *key: str) -> None:
        """Keeps an entry; ``value`` is anything that JSON holds."""
        with suppress(sqlite3.Error, OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._open() as connection, connection:
                connection.execute(_TABLE)
                connection.execute(
                    "INSERT OR REPLACE INTO timings VALUES (?, ?, ?, ?)",
                    (_digest(kind, *key), kind, json.dumps(value), time.time()),
                )

    def counts(self) -> dict[str, int]:
        """How many entries there are of each kind."""
        with suppress(sqlite3.Error, OSError), self._reading() as connection:
            rows = connection.execute("SELECT kind, COUNT(*) FROM timings GROUP BY kind")
            return dict(rows.fetchall())
        return {}

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if not self.path.is_file():  # to connect would make it
            raise FileNotFoundError(self.path)
        with self._open() as connection:
            yield connection

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=WAIT)
        try:
            # Losing an entry when the power fails is cheaper than waiting for the disk at each.
            connection.execute("PRAGMA synchronous = OFF")
            yield connection
        finally:
            connection.close()


def _digest(*parts: str) -> str:
    return blake2b("\n".join(parts).encode(), digest_size=20).hexdigest()
