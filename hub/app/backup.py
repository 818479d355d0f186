"""Back up everything that a hub keeps into one file, and restore it: keys, users, sound.

The store is read first, as it is at one moment (`hub.store.backup.snapshot`); then the sound. A hub writes the sound
of an event before the event, so every event of the backup has its sound, unless it was removed in between. Sound of
later events is removed by the retention's sweep after a restore.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, Final

from pydantic import ValidationError

from hub.app.command_audit import record
from hub.app.erasure import ErasureService
from hub.app.factory import build_event_store
from hub.domain.accounts import Accounts
from hub.settings import HubSettings
from hub.store.accounts_file import AccountsFile
from hub.store.audio_files import AudioFileStore
from hub.store.backup.backup_file import SOUND, USERS, BackupReader, BackupWriter, holds_rows
from hub.store.backup.restoration import Restoration
from hub.store.backup.snapshot import read_store
from hub.store.erasures import Erasures
from hub.store.schema import refuse_newer, schema_of
from shared.errors import InvalidError
from shared.paths import expanded, printable

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
"""Called with (`keys`, `files`, or `bytes` of the file; how many are done; of how many, 0 if not known)."""
_EVERY: Final = 100


@dataclass(frozen=True, slots=True)
class BackupContents:
    """The contents of a backup, as its file states them.

    Attributes:
        keys: number of keys of the store.
        sound_files: number of files of sound.
        sound_bytes: of these.
        users: number of users.
        position: of the stream of changes, at the moment of the backup.
    """

    keys: int
    sound_files: int
    sound_bytes: int
    users: int
    position: str


@dataclass(frozen=True, slots=True)
class Restored:
    """The result of a restore.

    Attributes:
        contents: of the backup.
        made_at: when it was made, ISO 8601.
        events: number of events in the store now.
    """

    contents: BackupContents
    made_at: str
    events: int


def write_backup(settings: HubSettings, path: Path, progress: Progress) -> BackupContents:
    """Write a backup of the store, the sound and the users of these settings, while hubs run.

    Args:
        settings: of a hub.
        path: of the file; it must not exist.
        progress: called from time to time.

    Raises:
        InvalidError: the file exists, the store's schema is newer, or it holds what no hub writes.
        UnavailableError: the store or a disk fails, or the store is written to without a pause.
    """
    archive = build_event_store(settings)
    try:
        fitness = archive.verify()
        schema = schema_of(archive.client)
        refuse_newer(schema, "the store")
        header = {
            "schema": schema,
            "software": f"earwitness-hub {version('earwitness')}",
            "hub": settings.hub.name,
            "store": fitness.name,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with BackupWriter(path, header) as writer:
            found = read_store(archive.client, writer.add_row, lambda done, of: progress("keys", done, of))
            log.info("store read", extra=asdict(found))
            users = _add_users(writer, settings.web.users_file)
            files, size = _add_sound(writer, settings.store.audio_dir, progress)
            contents = BackupContents(found.keys, files, size, users, found.position)
            writer.finish(asdict(contents))
        record(settings, archive, "exported", f"backup {path}")
        return contents
    finally:
        archive.close()


def _add_users(writer: BackupWriter, path: Path | None) -> int:
    accounts = AccountsFile(expanded(path)).read() if path is not None else Accounts()
    if accounts != Accounts():
        writer.add(USERS, accounts.model_dump_json(indent=1).encode())
    return len(accounts.users)


def _add_sound(writer: BackupWriter, folder: Path | None, progress: Progress) -> tuple[int, int]:
    files = size = 0
    if folder is None:
        return 0, 0
    clips = AudioFileStore(expanded(folder))
    for clip in clips.all_files():
        with clips.opened(clip) as found:
            if found is None:  # retention removed it
                continue
            writer.add_file(f"{SOUND}{clip}", *found)
        files, size = files + 1, size + found[1]
        if files % _EVERY == 0:
            progress("files", files, 0)
    return files, size


def verify_backup(path: Path, progress: Progress) -> tuple[dict[str, Any], BackupContents]:
    """Check a backup without a store: what its header states, and its contents.

    Raises:
        InvalidError: it is damaged, of a newer schema, or no backup.
        UnavailableError: it cannot be read.
    """
    reader = BackupReader(path)
    header = reader.header()
    refuse_newer(_schema_in(header, path), printable(path))
    return header, _contents(reader.verify(lambda done, of: progress("bytes", done, of)), path)


def restore_backup(settings: HubSettings, path: Path, *, replace: bool, progress: Progress) -> Restored:
    """Restore a backup into the store, the folder of sound and the file of users of these settings.

    Nothing is written before the whole file is verified, and everything it holds has a place. What was erased from
    the store since the backup is erased again.

    Args:
        settings: of a hub; all hubs of the store must have been stopped.
        path: of the file.
        replace: whether the data of a store and a file of users that are not empty is removed before.
        progress: called from time to time.

    Raises:
        InvalidError: the file is damaged or of a newer schema, the store is in use or not empty, or settings lack a
            folder or file for what the backup holds.
        UnavailableError: the store or a disk fails; a hub refuses the store until the restore is repeated.
    """
    header, contents = verify_backup(path, progress)
    if contents.sound_files and settings.store.audio_dir is None:
        raise InvalidError(f"{printable(path)} holds {contents.sound_files} files of sound: set store.audio_dir")
    if contents.users and settings.web.users_file is None:
        raise InvalidError(f"{printable(path)} holds {contents.users} users: set web.users_file")
    archive = build_event_store(settings)
    try:
        archive.verify()
        restoration = Restoration(archive.client, archive.rows)
        _check_target(settings, restoration, replace=replace)
        erasures = Erasures(archive.client)
        erased = erasures.all()
        restoration.begin(datetime.now(UTC))
        _write_parts(settings, restoration, BackupReader(path), progress)
        restoration.index_events()
        erasures.add_all(erased)
        _erase_again(settings, progress)
        events = archive.count()
        restoration.end(_schema_in(header, path))
        record(settings, archive, "changed", f"restore {path}")
    finally:
        archive.close()
    return Restored(contents, str(header.get("made_at", "")), events)


def _erase_again(settings: HubSettings, progress: Progress) -> None:
    """Remove what was erased since the backup was made, as far as the store recorded it."""
    service = ErasureService(settings, progress)
    try:
        service.apply_recorded()
    finally:
        service.close()


def _check_target(settings: HubSettings, restoration: Restoration, *, replace: bool) -> None:
    if restoration.is_in_use():
        raise InvalidError("a hub used this store within the last minute: stop all its hubs, and wait a minute")
    users = settings.web.users_file
    if replace:
        return
    if restoration.has_data():
        raise InvalidError("the store is not empty: give an empty one in redis.url, or --replace to remove its data")
    if users is not None and AccountsFile(expanded(users)).read() != Accounts():
        raise InvalidError(f"{printable(users)} has users: give another web.users_file, or --replace")


def _write_parts(settings: HubSettings, restoration: Restoration, reader: BackupReader, progress: Progress) -> None:
    audio, users = settings.store.audio_dir, settings.web.users_file
    for name, part in reader.parts(lambda done, of: progress("bytes", done, of)):
        if holds_rows(name):
            restoration.write(reader.rows(part))
        elif name.startswith(SOUND) and audio is not None:
            AudioFileStore(expanded(audio)).restore(name.removeprefix(SOUND), part)
        elif name == USERS and users is not None:
            with AccountsFile(expanded(users)).change() as draft:
                draft.accounts = _accounts(part)


def _accounts(part: IO[bytes]) -> Accounts:
    try:
        return Accounts.model_validate_json(part.read())
    except ValidationError as error:
        raise InvalidError("the users in the backup cannot be read: take the newer earwitness-hub") from error


def _schema_in(header: dict[str, Any], path: Path) -> int:
    schema = header.get("schema")
    if not isinstance(schema, int):
        raise InvalidError(f"{printable(path)} states no schema: it is damaged")
    return schema


def _contents(document: dict[str, Any], path: Path) -> BackupContents:
    try:
        return BackupContents(**{name: document[name] for name in BackupContents.__slots__})
    except KeyError as error:
        raise InvalidError(f"{printable(path)} does not state {error}: it is damaged") from error
