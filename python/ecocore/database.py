"""The one place that opens DuckDB: a temporary database on disk, bounded in memory, gone when it is closed."""

from __future__ import annotations

import os
import weakref
from typing import Any

import numpy.typing as npt

from .errors import EcocoreError, InvalidArgument, missing_extra

__all__ = ["Database", "identifier", "literal"]


def identifier(name: str) -> str:
    """A column or table name as SQL takes it, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL takes it, whatever it holds."""
    return "'" + text.replace("'", "''") + "'"


class Database:
    """A DuckDB connection to a database file in a folder of its own, which is removed with it.

    DuckDB holds at most ``memory_limit`` in its buffers and spills what is more into the same folder. Extensions are
    neither fetched nor loaded beyond those that come with DuckDB. Not for use from several threads at once.
    """

    def __init__(
        self, *, memory_limit: str = "1.5GB", threads: int = 0, temp_directory: str | os.PathLike[str] | None = None
    ):
        import shutil  # here, since they take longer to load than the rest of the package
        import tempfile

        try:
            import duckdb
        except ImportError:
            raise missing_extra("duckdb", "data", "reading event logs and catalogues") from None
        self.Error: type[Exception] = duckdb.Error
        try:
            folder = tempfile.mkdtemp(prefix="ecocore-", dir=temp_directory)
        except OSError as e:
            raise InvalidArgument(f"temp_directory: cannot write there: {e}") from None
        settings: dict[str, Any] = {
            "memory_limit": memory_limit,
            "temp_directory": os.path.join(folder, "spill"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        if threads:
            settings["threads"] = threads
        try:
            self._connection = duckdb.connect(os.path.join(folder, "events.duckdb"), config=settings)
        except duckdb.Error as e:
            shutil.rmtree(folder, ignore_errors=True)
            raise InvalidArgument(
                f"memory_limit or threads: DuckDB refuses {memory_limit!r}, {threads}: {first_line(e)}"
            ) from None
        self._connection.execute("SET enable_progress_bar = false")
        self._finalizer = weakref.finalize(self, _remove, self._connection, shutil.rmtree, folder, os.getpid())

    @property
    def closed(self) -> bool:
        return not self._finalizer.alive

    def close(self) -> None:
        """Closes the connection and removes the folder; again is fine."""
        self._finalizer()

    def run(self, sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """All rows of a query's result."""
        return self._execute(sql, parameters).fetchall()  # type: ignore[no-any-return]

    def arrays(self, sql: str, parameters: Any = None) -> dict[str, npt.NDArray[Any]]:
        """A query's result by column; a column with NULLs comes as a masked array."""
        return self._execute(sql, parameters).fetchnumpy()  # type: ignore[no-any-return]

    def limit_memory(self, most: int) -> None:
        """Lowers the memory limit to ``most`` bytes if it is higher."""
        number, unit = self.run("SELECT current_setting('memory_limit')")[0][0].split()
        if float(number) * 1024 ** ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"].index(unit) > most:
            self.run(f"SET memory_limit = '{most} bytes'")

    def register(self, name: str, table: Any) -> None:
        self._connection.register(name, table)

    def unregister(self, name: str) -> None:
        self._connection.unregister(name)

    def describe(self, query: str) -> dict[str, str]:
        """Column names of a query or table, with DuckDB's type of each."""
        return {row[0]: row[1] for row in self.run(f"DESCRIBE {query}")}

    def _execute(self, sql: str, parameters: Any) -> Any:
        if self.closed:
            raise EcocoreError(
                "these events are closed; read them again, or ask before close() or the end of the with block"
            )
        return self._connection.execute(sql, parameters)


def _remove(connection: Any, rmtree: Any, folder: str, pid: int) -> None:
    if os.getpid() == pid:  # a forked child must not take the parent's files away
        connection.close()
        rmtree(folder, ignore_errors=True)


def first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]


def as_text_array(column: npt.NDArray[Any]) -> list[str | None]:
    """A VARCHAR column of :meth:`Database.arrays` as a list, None for NULL (a masked array's own list says so)."""
    return column.tolist()  # type: ignore[no-any-return]
