"""Erase a sensor, a site, or a period of one: everywhere, and for good.

1. The erased period is recorded (`hub.store.erasures`): what arrives late, or again, is refused from then on.
2. Events go as retention removes them, which hubs follow through the stream of changes. Then sources lose the
   identities of the episodes, names their examples, dead letters go, and levels.
3. A scan of all keys removes what else names the sensor (`hub.store.erasure_scan`), until it finds nothing.
4. Sound, and snapshots of the index on this machine, go.
5. The audit log gets an entry, and the erased period is written again, so that a backup that was running fails.
6. Retained messages are cleared at the broker.

Each step can be repeated: an erasure that fails is run again.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from hub.app.command_audit import record
from hub.app.factory import build_stores
from hub.app.retained_messages import RetainedMessages
from hub.domain.erasure import FOREVER_MS, Erasure, Mentions, digest
from hub.domain.records import from_ms, to_ms
from hub.settings import HubSettings
from hub.store import keys
from hub.store.audio_files import PARTIAL, SUFFIXES
from hub.store.client import raises_unavailable
from hub.store.erasure_scan import ErasureScan
from hub.store.erasures import Erasures
from hub.store.level_erasure import LevelErasure
from hub.store.schema import refuse_newer, schema_of
from shared.paths import expanded

log = logging.getLogger(__name__)

_PASSES: Final = 5
_EPISODES: Final = 1_000_000

Progress = Callable[[str, int, int], None]
"""Called with (what, how many are done, of how many)."""


@dataclass(frozen=True, slots=True)
class ErasureReport:
    """What names a sensor, or did before it was erased.

    Attributes:
        counts: of keys and values by kind, of level hours, files and retained messages; only those above 0.
        files: paths of sound below its folder, and names of files of index snapshots.
        topics: of retained messages.
        audit: entries of the audit log about erasures, which stay.
    """

    counts: dict[str, int] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    audit: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Return whether nothing was found but entries of the audit log."""
        return not self.counts


class ErasureService:
    """Finds and erases; every method raises `UnavailableError` if the store, the broker or a disk fails.

    Args:
        settings: of a hub.
        progress: called during scans.
    """

    def __init__(self, settings: HubSettings, progress: Progress = lambda *_: None) -> None:
        self._settings = settings
        self._progress = progress
        self._stores = build_stores(settings)
        self._archive = self._stores.events
        self._redis = self._archive.client
        self._periods = Erasures(self._redis)

    def close(self) -> None:
        """Close all connections."""
        self._archive.close()

    def find(self, erasure: Erasure) -> ErasureReport:
        """Return what an erasure would remove, or, afterwards, what is left."""
        mentions = self._mentions(erasure, self._ids(erasure))
        scan = ErasureScan(self._redis, mentions)
        counts = scan.run(remove=False, progress=lambda done, of: self._progress("keys", done, of))
        if not erasure.is_whole:
            counts["level hours"] = sum(
                LevelErasure(self._redis).count(place, erasure.from_ms // 1_000, _until_s(erasure))
                for place in self._places(erasure)
            )
        files = [*self._sound(erasure, mentions), *self._snapshots(mentions)]
        topics = RetainedMessages(self._settings, erasure, mentions).topics()
        return _report(counts, files, topics, scan.audit_entries())

    def erase(self, erasure: Erasure) -> ErasureReport:
        """Erase, and return what was removed.

        Raises:
            InvalidError: the store has a newer schema.
        """
        refuse_newer(schema_of(self._redis), "the store")
        now = datetime.now(UTC)
        self._periods.add(erasure, to_ms(now))
        counts, mentions = self.erase_data(erasure)
        files = [*self._sound(erasure, mentions, remove=True), *self._snapshots(mentions, remove=True)]
        record(self._settings, self._archive, "erased", described(erasure))
        self._periods.add(erasure, to_ms(now))
        topics = RetainedMessages(self._settings, erasure, mentions).clear()
        return _report(counts, files, topics, ErasureScan(self._redis, mentions).audit_entries())

    def erase_data(self, erasure: Erasure) -> tuple[Counter[str], Mentions]:
        """Erase from the store alone; return what was removed, and what finds names of it."""
        counts: Counter[str] = Counter()
        places, ids = self._places(erasure), self._ids(erasure)
        mentions = self._mentions(erasure, ids, record_ids=True)
        self._forget_episodes([one for one in ids if one.count(".") > 3])
        for place in places:
            while gone := self._archive.removal.remove_between(place, erasure.from_ms, erasure.until_ms):
                counts["event"] += len(gone)
            if not erasure.is_whole:
                counts["level hours"] += LevelErasure(self._redis).run(
                    place, erasure.from_ms // 1_000, _until_s(erasure)
                )
        counts["dead letters"] += self._remove_dead_letters(erasure)
        counts["names"] += self._remove_examples(mentions)
        self._remove_traces(erasure, places)
        scan = ErasureScan(self._redis, mentions)
        for _ in range(_PASSES):
            found = scan.run(remove=True, progress=lambda done, of: self._progress("keys", done, of))
            counts += found
            if not found:
                break
        if erasure.is_whole and not erasure.sensor:
            self._remove_site(erasure.site)
        return counts, mentions

    def apply_recorded(self) -> int:
        """Erase again all that was erased of the sensors in the store, with its sound; return the number of periods.

        A restore calls this, as an older backup holds what was erased since.
        """
        found = self._periods.of_places(sorted(place.decode() for place in self._redis.smembers(keys.SENSORS)))
        for erasure in map(self._widened, found):
            _, mentions = self.erase_data(erasure)
            self._sound(erasure, mentions, remove=True)
        return len(found)

    def _widened(self, erasure: Erasure) -> Erasure:
        """Return an erasure of all time for one of all time until then, if nothing was captured since."""
        (newest,) = self._archive.sensors.newest_events([erasure.name])
        ended = newest is None or to_ms(newest) < erasure.until_ms
        return replace(erasure, until_ms=FOREVER_MS) if erasure.from_ms == 0 and ended else erasure

    @raises_unavailable
    def _places(self, erasure: Erasure) -> list[str]:
        places = {place.decode() for place in self._redis.smembers(keys.SENSORS)}
        if erasure.sensor:
            places.add(f"{erasure.site}/{erasure.sensor}")
        return sorted(place for place in places if erasure.covers_place(place))

    @raises_unavailable
    def _ids(self, erasure: Erasure) -> list[str]:
        """Return ids of the events in the period, and of the episodes that overlap it."""
        found: list[str] = []
        for place in self._places(erasure):
            if not erasure.is_whole:
                found += [
                    one.decode()
                    for one in self._redis.zrangebyscore(
                        keys.events_of(place), erasure.from_ms, f"({erasure.until_ms}"
                    )
                ]
            episodes = self._stores.episodes.episodes(limit=_EPISODES, before_ms=erasure.until_ms, place=place)
            found += [one.id for one in episodes if one.last_ms > erasure.from_ms]
        return found

    def _mentions(self, erasure: Erasure, ids: list[str], *, record_ids: bool = False) -> Mentions:
        """Return what finds names; of a period, also of events that an erasure has removed from their index."""
        digests = set[str]()
        for place in [] if erasure.is_whole else self._places(erasure):
            own = [digest(one) for one in ids if one.startswith(f"{place.replace('/', '.')}.")]
            if record_ids:
                self._periods.add_ids(place, own)
            digests |= self._periods.ids(place).union(own)
        return erasure.mentions(digests)

    def _forget_episodes(self, episodes: list[str]) -> None:
        """Take episodes out of their sources; a source without others is removed, also one that is kept."""
        sources = self._stores.sources
        by_source: dict[str, list[str]] = {}
        for name, member in sources.members(episodes).items():
            by_source.setdefault(member.source, []).append(name)
        for name, own in by_source.items():
            stored = sources.get(name)
            if stored is None:
                continue
            if set(sources.episode_ids(name)) <= set(own):
                sources.keep(name, kept=False)
            for drawer in sources.attempts(stored.group, stored.network, own):
                for episode in own:
                    if (before := drawer.before(episode)) is not None:
                        drawer.partition.forget(before)
                    drawer.left.add(episode)
                    drawer.done.add(episode)

    def _remove_dead_letters(self, erasure: Erasure) -> int:
        removed, after = 0, ""
        named = Erasure(erasure.site, erasure.sensor).mentions()
        while page := self._archive.letters.page(500, after):
            after = page[-1].id
            for letter in page:
                inside = erasure.from_ms <= to_ms(letter.received_at) < erasure.until_ms
                if inside and named.found_in(f"{letter.topic} {letter.reason}".encode()):
                    self._archive.letters.remove(letter.id)
                    removed += 1
        return removed

    def _remove_examples(self, mentions: Mentions) -> int:
        names, removed = self._stores.names, 0
        for sound in names.all().values():
            kept = [one for one in sound.examples if not mentions.found_in(one.encode())]
            if not kept:
                names.remove(sound.id)
            elif len(kept) < len(sound.examples):
                names.change(sound.id, examples=kept)
            removed += len(sound.examples) - len(kept)
        return removed

    @raises_unavailable
    def _remove_traces(self, erasure: Erasure, places: list[str]) -> None:
        for place in places:
            for key in self._redis.scan_iter(f"{keys.traces(place, '')}*"):
                self._redis.zremrangebyscore(key, erasure.from_ms, f"({erasure.until_ms}")

    @raises_unavailable
    def _remove_site(self, site: str) -> None:
        """Remove what is kept of a site as a whole."""
        own = (keys.site_span, keys.legacy_site_span, keys.other_alerts, keys.alert_offers, keys.thresholds)
        self._redis.unlink(*(key(site) for key in (*own, keys.pinned_thresholds, keys.source_members)))
        self._redis.srem(keys.SITES, site)
        groups = list(self._redis.scan_iter(f"{keys.sources_of(site, '', '').removesuffix(':')}*"))
        sources = [name.decode() for group in groups for name in self._redis.zrange(group, 0, -1)]
        for name in sources:
            self._redis.unlink(keys.source(name), keys.source_episodes(name))
            self._redis.zrem(keys.SOURCES, name)
            self._redis.srem(keys.SOURCES_KEPT, name)
        for begin in (keys.match_probabilities(site, ""), keys.sources_version(site, "", "").removesuffix(":")):
            groups += self._redis.scan_iter(f"{begin}*")
        if groups:
            self._redis.unlink(*groups)

    def _sound(self, erasure: Erasure, mentions: Mentions, *, remove: bool = False) -> list[str]:
        """Return the files of sound with names, and of a whole erasure the folders."""
        audio = self._stores.audio
        if audio is None:
            return []
        found = [one for one in audio.all_files((*SUFFIXES, PARTIAL)) if mentions.found_in(one.encode())]
        for clip in found if remove else ():
            audio.remove(clip)
        place = erasure.name
        if erasure.is_whole and remove:
            audio.remove_empty_folders(place)
        elif erasure.is_whole and audio.has_folder(place):
            found.append(place)
        return found

    def _snapshots(self, mentions: Mentions, *, remove: bool = False) -> Iterator[str]:
        """Yield the files of index snapshots with names; a hub writes them again without."""
        folder = self._settings.search.snapshot_dir
        for path in sorted(expanded(folder).rglob("chunk-*")) if folder else ():
            if mentions.found_in(path.read_bytes()):
                if remove:
                    path.unlink(missing_ok=True)
                yield path.name


def described(erasure: Erasure) -> str:
    """Return what is erased, as a text for people and the audit log."""
    if erasure.is_whole:
        return erasure.name
    start, end = (from_ms(str(ms).encode()).isoformat() for ms in (erasure.from_ms, erasure.until_ms))
    return f"{erasure.name} from {start} to {end}"


def _until_s(erasure: Erasure) -> int:
    return -(-erasure.until_ms // 1_000)


def _report(counts: Counter[str], files: list[str], topics: list[str], audit: list[str]) -> ErasureReport:
    counts = counts + Counter({"files": len(files), "retained messages": len(topics)})
    return ErasureReport(dict(sorted((+counts).items())), tuple(files), tuple(topics), tuple(audit))
