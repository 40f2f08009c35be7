"""The opened database of a process with everything that reads and writes it, apart from the event loop's writer."""

import asyncio
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, ProgrammingError

from linewarden.audit.anchors import Anchors
from linewarden.audit.checkpoints import Checkpoints
from linewarden.audit.continuity import Continuity
from linewarden.audit.directory import Appender, Directory
from linewarden.audit.errors import LogUnavailable
from linewarden.audit.indexer import Indexer
from linewarden.audit.keyring import Keyring, load_key_encryption_key
from linewarden.audit.model import Unit
from linewarden.audit.reading import Reading
from linewarden.audit.store.engine import check_promises, open_engine
from linewarden.audit.store.index import IndexStore
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.marks import Marks
from linewarden.audit.store.persons import PersonStore
from linewarden.authz.store.policy import PolicyStore
from linewarden.server.schema import knows_marks, migrate
from linewarden.server.settings import Settings
from linewarden.server.store.keys import KeyStore

#: A file beside the anchors: the database was sealed, so that one without seals is not taken as it is again.
SEALED_FILE = "sealed"

#: A file beside the anchors: the newest head that was seen of each log.
MARKS_FILE = "marks"

#: So often may others be first to make a table before something else must be wrong.
_RACES = 10


@dataclass(frozen=True, slots=True)
class Storage:
    """Stores and keys. `engines` are closed when the process ends."""

    log: LogStore
    index: IndexStore
    persons: PersonStore
    policies: PolicyStore
    keys: KeyStore
    keyring: Keyring
    anchors: Anchors
    continuity: Continuity
    engines: tuple[sa.Engine, ...]

    def directory(self, appender: Appender) -> Directory:
        """Names and pseudonyms, introduced through `appender`."""
        return Directory(self.persons, self.keyring, appender)

    def indexer(self, directory: Directory) -> Indexer:
        """What fills the index."""
        return Indexer(self.log, self.index, directory, self.keyring)

    def checkpoints(self, indexer: Indexer) -> Checkpoints:
        """What signs for the logs."""
        return Checkpoints(self.log, indexer, self.anchors)

    def reading(self, indexer: Indexer, directory: Directory) -> Reading:
        """Queries."""
        return Reading(self.log, self.index, indexer, directory, self.keyring)

    def close(self) -> None:
        """Let go of all connections."""
        self.log.close()
        self.index.close()
        for engine in self.engines:
            engine.dispose()


def open_storage(settings: Settings) -> Storage:
    """Open and check the database, and bring its schema to the newest version.

    Raises:
        UnsafeDatabase: it does not promise what the log needs, or its seals were taken away.
        LogUnavailable: it failed.
        ValueError, OSError: the key-encryption key or the signing key cannot be read, or `anchor_dir` be written.
    """
    keyring = load_key_encryption_key(settings.kek_file)
    main = open_engine(settings.database_url)
    try:
        return _opened(settings, keyring, main)
    except BaseException:
        main.dispose()
        raise


def _opened(settings: Settings, keyring: Keyring, main: sa.Engine) -> Storage:
    check_promises(main)
    # The index never holds the log's lock: a file of its own with SQLite, tables of its own with PostgreSQL.
    searchable = open_engine(f"sqlite:///{main.url.database}.index", durable=False) if _is_sqlite(main) else main
    sealed = settings.anchor_dir / SEALED_FILE
    log = LogStore(main, keyring.seals, adopts=not sealed.exists(), marks=Marks(settings.anchor_dir / MARKS_FILE))
    adopts = not knows_marks(log)
    _settled(lambda: migrate(log))
    if not sealed.exists():  # not before: a start that is broken off must be able to begin again
        sealed.parent.mkdir(parents=True, exist_ok=True)
        sealed.touch()
    index = IndexStore(searchable)
    _settled(index.prepare)
    engines = (main,) if searchable is main else (main, searchable)
    persons = PersonStore(log)
    anchors = Anchors(settings.anchor_dir, settings.service_name, read_seed(settings.signing_key_file))
    indexer = Indexer(log, index, Directory(persons, keyring, _NoAppender()), keyring)
    continuity = Continuity(log, anchors, indexer.node, adopts=adopts)
    log.admit = continuity.admit
    if adopts:
        continuity.look()
    return Storage(log, index, persons, PolicyStore(log), KeyStore(log), keyring, anchors, continuity, engines)


class _NoAppender:
    """Reading the tree introduces no person."""

    def append(self, unit: Unit) -> "asyncio.Future[int]":
        """Never called."""
        raise AssertionError(unit)


def read_seed(path: Path) -> bytes:
    """The 32 bytes of an Ed25519 key, base64 in one line.

    Raises:
        ValueError, OSError: the file does not hold that.
    """
    seed = b64decode(path.read_bytes().strip(), validate=True)
    if len(seed) != 32:
        raise ValueError("the signing key has 32 bytes")
    return seed


def _settled(make: Callable[[], None]) -> None:
    """Make tables that another process may be making: the loser of that race looks again, and finds them."""
    for _ in range(_RACES):
        try:
            return make()
        except LogUnavailable as fault:
            if not isinstance(fault.__cause__, IntegrityError | ProgrammingError):
                raise
    return make()


def _is_sqlite(engine: sa.Engine) -> bool:
    return engine.dialect.name == "sqlite"
