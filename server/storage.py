"""The opened database of a process, with all its readers and writers except the writer of the event loop."""

import errno
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError, ProgrammingError

from linewarden.audit.anchors import Anchors
from linewarden.audit.checkpoints import Checkpoints
from linewarden.audit.continuity import Continuity
from linewarden.audit.directory import Directory, UnitAppender
from linewarden.audit.errors import LogUnavailable, UnsafeDatabase
from linewarden.audit.index.indexer import Indexer
from linewarden.audit.index.queries import AuditQueries
from linewarden.audit.keyring import Keyring, load_key_encryption_key
from linewarden.audit.secret_files import check_secret, read_secret
from linewarden.audit.store.engine import check_promises, open_engine
from linewarden.audit.store.index import IndexStore
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.marks import Marks
from linewarden.audit.store.persons import PersonStore
from linewarden.audit.tree import Tree
from linewarden.audit.verified import VerifiedEntries
from linewarden.authz.store.policy import PolicyStore
from linewarden.server.missing_nodes import store_missing_nodes
from linewarden.server.schema import knows_marks, migrate
from linewarden.server.settings import DATABASE_FILE, Settings
from linewarden.server.store.keys import KeyStore

#: A file beside the anchors: the database was sealed, so that one without seals is not accepted again.
SEALED_FILE = "sealed"

#: A file beside the anchors: the newest head of each log.
MARKS_FILE = "marks"
#: The first bytes of an SQLite file.
_SQLITE = b"SQLite format 3\0"

#: Attempts to make tables that other processes make at the same time.
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
    tree: Tree
    verified: VerifiedEntries
    continuity: Continuity
    engines: tuple[sa.Engine, ...]

    def directory(self, appender: UnitAppender) -> Directory:
        """Return names and pseudonyms, introduced through `appender`."""
        return Directory(self.persons, self.keyring, appender)

    def indexer(self, directory: Directory) -> Indexer:
        """Return the indexer."""
        return Indexer(self.log, self.verified, self.index, directory, self.keyring)

    def checkpoints(self) -> Checkpoints:
        """Return the signer of checkpoints."""
        return Checkpoints(self.log, self.tree, self.anchors)

    def reading(self, indexer: Indexer, directory: Directory) -> AuditQueries:
        """Return the queries on the logs."""
        return AuditQueries(self.log, indexer, directory, self.keyring)

    def close(self) -> None:
        """Close all connections."""
        self.log.close()
        self.index.close()
        for engine in self.engines:
            engine.dispose()


def open_storage(settings: Settings) -> Storage:
    """Open and check the database, and bring its schema to the newest version.

    Raises:
        UnsafeDatabase: it lacks a promise that the log needs, or its seals were removed.
        LogUnavailable: it failed. The text names the database.
        SecretExposed: others can read the key-encryption key or the signing key.
        ValueError, OSError: the key-encryption key or the signing key cannot be read, or `anchor_dir` be written.
    """
    check_secret(settings.kek_file)
    keyring = load_key_encryption_key(settings.kek_file)
    main = _engine(settings)
    try:
        return _opened(settings, keyring, main)
    except BaseException as error:
        main.dispose()
        if fault := _fault_of(error, main):
            raise LogUnavailable(f"{_named(main.url)} cannot be used: {fault}; see `database_url`") from None
        raise


def _check_not_left_behind(usual: Path, main: sa.Engine) -> None:
    """Refuse an empty database while the one of `data_dir` holds logs, because that is probably a mistake.

    Raises:
        UnsafeDatabase: the database is empty, and the default one is not.
    """
    if _is_sqlite(main) and Path(str(main.url.database)).absolute() == usual:
        return
    if sa.inspect(main).has_table("log_head") or not usual.is_file():
        return
    with usual.open("rb") as file:
        if file.read(len(_SQLITE)) != _SQLITE:
            return
    raise UnsafeDatabase(
        f"`database_url` names an empty database, and the logs of this service are in {usual}: take that setting back, "
        "or move the file away to begin anew"
    )


def _engine(settings: Settings) -> sa.Engine:
    try:
        return open_engine(settings.database_url)
    except UnsafeDatabase as error:
        raise UnsafeDatabase(f"`database_url`: {error}") from None
    except (sa.exc.ArgumentError, ValueError):
        raise ValueError("`database_url` is not the address of a database: sqlite:///PATH or postgresql://…") from None
    except ModuleNotFoundError as error:
        raise ValueError(f"{error.name} is missing for `database_url`: pip install 'linewarden[postgres]'") from None


def _fault_of(error: BaseException, engine: sa.Engine) -> str:
    """Return the fault of a database in one line; empty for another exception."""
    if type(error) is LogUnavailable and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, sa.exc.DBAPIError) and error.orig is not None:
        error = error.orig
    if not isinstance(error, engine.dialect.dbapi.Error | sa.exc.SQLAlchemyError):  # type: ignore[union-attr]
        return ""
    said = str(error).strip().splitlines()
    return said[0].strip() if said else type(error).__name__


def _named(url: sa.URL) -> str:
    """Return the name of a database for its operator, without a password."""
    if url.get_backend_name() == "sqlite":
        return f"the database {url.database}"
    return f"the database {url.database} at {url.host}" + (f":{url.port}" if url.port else "")


def _opened(settings: Settings, keyring: Keyring, main: sa.Engine) -> Storage:
    check_promises(main)
    _check_not_left_behind(settings.data_dir / DATABASE_FILE, main)
    # The index is a separate file with SQLite and separate tables with PostgreSQL, so it never holds the log's lock.
    searchable = open_engine(f"sqlite:///{main.url.database}.index", durable=False) if _is_sqlite(main) else main
    sealed = settings.anchor_dir / SEALED_FILE
    log = LogStore(main, keyring.row_mac, adopts=not sealed.exists(), marks=Marks(settings.anchor_dir / MARKS_FILE))
    adopts = not knows_marks(log)
    _settled(lambda: migrate(log))
    if not sealed.exists():  # not earlier, because an interrupted start must be able to begin again
        sealed.parent.mkdir(parents=True, exist_ok=True)
        sealed.touch()
    index = IndexStore(searchable, keyring.row_mac, _note_index)
    engines = (main,) if searchable is main else (main, searchable)
    persons = PersonStore(log)
    anchors = Anchors(settings.anchor_dir, settings.service_name, read_seed(settings.signing_key_file))
    tree = Tree(log)
    store_missing_nodes(log, tree)
    continuity = Continuity(log, anchors, tree, adopts=adopts)
    log.admit = continuity.admit
    if adopts:
        continuity.look()
    stores = PolicyStore(log), KeyStore(log)
    return Storage(
        log, index, persons, *stores, keyring, anchors, tree, VerifiedEntries(log, tree), continuity, engines
    )


def read_seed(path: Path) -> bytes:
    """Return the 32 bytes of an Ed25519 key, base64 in one line.

    Raises:
        SecretExposed: others can read the file.
        ValueError, OSError: the file does not hold a key, or cannot be read.
    """
    text = read_secret(path).strip()
    try:
        seed = b64decode(text, validate=True)
    except ValueError:
        seed = b""
    if len(seed) != 32:
        raise ValueError(f"{path} does not hold a signing key: 32 bytes in base64")
    return seed


def _settled(make: Callable[[], None]) -> None:
    """Make tables that another process may be making. The loser of that race tries again, and finds them."""
    for _ in range(_RACES):
        try:
            return make()
        except LogUnavailable as fault:
            if not isinstance(fault.__cause__, IntegrityError | ProgrammingError):
                raise
    return make()


def _note_index(event: str, error: BaseException) -> None:
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
    name = getattr(cause, "sqlite_errorname", None) or errno.errorcode.get(getattr(cause, "errno", None) or 0)
    structlog.get_logger().error(event, error=name or type(cause).__name__)


def _is_sqlite(engine: sa.Engine) -> bool:
    return engine.dialect.name == "sqlite"
