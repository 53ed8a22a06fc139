"""Looks for secrets: in files, whatever holds them, in texts, and in the list of processes.

Written without a look at the product's own redaction, so that one does not share the other's gaps.
"""

import base64
import gzip
import json
import pickle
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote, quote_plus

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

SQLITE, DUCKDB, GZIP = b"SQLite format 3", b"DUCK", b"\x1f\x8b"
EVERY_SECONDS = 0.1


def forms(secret: str) -> dict[str, bytes]:
    """The ways in which `secret` may be written, by name."""
    escaped, percent = json.dumps(secret)[1:-1], quote(secret, safe="")
    texts = {
        "plain": secret,
        "percent": percent,
        "percent, lower case": _lower_percent(percent),
        "percent but slashes": quote(secret),
        "form": quote_plus(secret),
        "percent twice": quote(percent, safe=""),
        "JSON": escaped,
        "JSON in UTF-8": json.dumps(secret, ensure_ascii=False)[1:-1],
        "JSON with \\/": escaped.replace("/", "\\/"),
        "JSON in JSON": json.dumps(escaped)[1:-1],
        "Go": escaped.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"),
        "repr": repr(secret)[1:-1],
    }
    value = secret.encode()
    found = {name: text.encode() for name, text in texts.items()}
    found |= {"UTF-16": secret.encode("utf-16-le"), "hex": value.hex().encode()}
    for before in range(3):  # places of the value in what is encoded, such as `user:value`
        coded = base64.b64encode(bytes(before) + value)
        core = coded[-(-before * 8 // 6) : (before + len(value)) * 8 // 6]
        if len(core) >= 8:
            found[f"base64, {before} before"] = core
            found[f"base64 for addresses, {before} before"] = core.translate(
                bytes.maketrans(b"+/", b"-_")
            )
    return found


def _lower_percent(text: str) -> str:
    first, *others = text.split("%")
    return "%".join([first, *(other[:2].lower() + other[2:] for other in others)])


class Search:
    """Searches for secrets and counts what it went through.

    Attributes:
        files: Files so far.
        bytes: Bytes so far, of files and of what was unpacked from them.
        found: Where a secret was, and in which form; never the secret.
    """

    def __init__(self, secrets: list[str]) -> None:
        self.files = self.bytes = 0
        self.found: list[str] = []
        self._forms = [item for secret in secrets for item in forms(secret).items()]

    def also(self, secrets: list[str]) -> None:
        """Searches for these, too, from now on."""
        self._forms += [item for secret in secrets for item in forms(secret).items()]

    def text(self, where: str, text: str | bytes) -> None:
        """Searches one text."""
        data = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
        self.bytes += len(data)
        self.found += [f"{where}: {name}" for name, form in self._forms if form in data]

    def places(self) -> list[str]:
        """Each place once, with the first form found in it."""
        places: dict[str, str] = {}
        for found in self.found:
            where, _, form = found.rpartition(": ")
            places.setdefault(where, form)
        return [f"{where}: {form}" for where, form in places.items()]

    def folder(self, folder: Path) -> None:
        """Searches every file below `folder`, its name, and what it holds in packed form."""
        for path in sorted(folder.rglob("*")):
            name = str(path.relative_to(folder))
            self.text("a file's name", name)
            if path.is_file() and not path.is_symlink():
                self.files += 1
                data = path.read_bytes()
                self.text(name, data)
                for unpacked in _unpacked(path, data):
                    self.text(f"{name}, unpacked", unpacked)

    def values(self, where: str, values: Iterable[object]) -> None:
        """Searches cells of tables, and what they hold if they are compressed."""
        for value in values:
            for form in _values(value):
                self.text(where, form)


def _unpacked(path: Path, data: bytes) -> Iterator[bytes]:
    """What is in `path` in another form than its bytes show."""
    if data.startswith(GZIP):
        with suppress(OSError, EOFError, zlib.error):
            yield gzip.decompress(data)
    elif data.startswith(SQLITE):
        with suppress(sqlite3.DatabaseError):
            yield from _sqlite(path)
    elif data[8:12] == DUCKDB:
        with suppress(duckdb.Error):
            yield from _duckdb(path)
    elif path.suffix == ".parquet":
        with suppress(OSError, ValueError):
            yield str(pq.read_table(path).to_pylist()).encode()


def _sqlite(path: Path) -> Iterator[bytes]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.fetchall():
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                for value in row:
                    yield from _values(value)


def _duckdb(path: Path) -> Iterator[bytes]:
    with duckdb.connect(str(path), read_only=True) as connection:
        tables = connection.execute("SELECT schema_name, table_name FROM duckdb_tables()")
        for schema, table in tables.fetchall():
            for row in connection.execute(f'FROM "{schema}"."{table}"').fetchall():
                for value in row:
                    yield from _values(value)


def _values(value: object) -> Iterator[bytes]:
    """A cell as bytes, and what it holds if it is compressed, as snapshots and states are."""
    raw = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
    yield raw
    with suppress(zlib.error):
        yield zlib.decompress(raw)
    with suppress(ValueError, zlib.error):
        yield zlib.decompress(base64.b64decode(raw, validate=True))


class ProcessList:
    """Watches the command lines of all processes while the section runs, as a context manager.

    Attributes:
        found: Command lines with a secret in them, without the secret.
        lists: Times that all were read.
    """

    def __init__(self, secrets: list[str]) -> None:
        self.found: list[str] = []
        self.lists = 0
        self._forms = [form for secret in secrets for form in forms(secret).values()]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "ProcessList":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(EVERY_SECONDS):
            self.lists += 1
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    line = path.read_bytes()
                    if any(form in line for form in self._forms):
                        self.found.append(line.split(b"\0")[0].decode("utf-8", "replace"))


def control() -> tuple[int, int]:
    """Plants a secret in files of every kind, in every form; how many, and how many were found."""
    secret, found, planted = "c0ntr&l of/the+search", 0, 0
    for plant in [*(_text_of(form) for form in forms(secret).values()), *PLANTS]:
        with TemporaryDirectory() as folder:
            search = Search([secret])
            plant(Path(folder), secret)
            search.folder(Path(folder))
            planted += 1
            found += bool(search.found)
    return planted, found


def _text_of(form: bytes) -> Callable[[Path, str], object]:
    return lambda folder, _: (folder / "a.log").write_bytes(b"before " + form + b" after")


def _in_sqlite(folder: Path, secret: str) -> None:
    with closing(sqlite3.connect(folder / "runs.db")) as connection, connection:
        connection.execute("CREATE TABLE snapshots (body BLOB)")
        packed = zlib.compress(f"before {secret} after".encode())
        connection.execute("INSERT INTO snapshots VALUES (?)", [packed])


def _in_duckdb(folder: Path, secret: str, packed: bool = False) -> None:
    text = f"before {secret} after"
    state = base64.b64encode(zlib.compress(text.encode())).decode() if packed else text
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("CREATE TABLE t AS SELECT $1 AS c FROM range(9000)", [state])


PLANTS: list[Callable[[Path, str], object]] = [
    lambda folder, secret: (folder / quote_plus(secret)).touch(),
    lambda folder, secret: (folder / "a.gz").write_bytes(gzip.compress(secret.encode())),
    lambda folder, secret: (folder / "trace.pickle").write_bytes(pickle.dumps({"key": secret})),
    lambda folder, secret: pq.write_table(pa.table({"c": [secret] * 9}), folder / "a.parquet"),
    _in_sqlite,
    _in_duckdb,
    lambda folder, secret: _in_duckdb(folder, secret, packed=True),
]
