"""Define the key of everything that the hub keeps in Redis; those of levels: `hub.store.level_keys`.

No other module spells a key.

The text beside each key states its Redis type and what it holds. All JSON has the form of `hub.store.json_rows`.
`place` is `site/sensor`. Times are ms since 1970 UTC. A time index is a sorted set of ids by such a time.

A function called with "" for its last argument returns what all its keys begin with: scripts and indexes need that.
"""

from typing import Final

PREFIX: Final = "ew"

EVERY: Final = f"{PREFIX}:"  # value of any type: what all keys begin with
SCHEMA: Final = f"{PREFIX}:schema"  # string: schema version of all keys; see `hub.store.schema`
RESTORING: Final = f"{PREFIX}:restoring"  # string: when a restore began that has not ended
ERASURES: Final = f"{PREFIX}:erasures"  # hash: digest of a place or site to its erased periods, `from:until` in ms

EVENTS: Final = f"{PREFIX}:events"  # sorted set: time index of all events, by capture
LATE: Final = f"{PREFIX}:late"  # sorted set: events that came more than a day after their capture, by receipt
CHANGES: Final = f"{PREFIX}:changes"  # stream: events that were added and removed
ALERTS: Final = f"{PREFIX}:alerts"  # sorted set: time index of all alerts
ALERTS_PENDING: Final = f"{ALERTS}:pending"  # stream: events whose alerts were not dispatched yet
SENSORS: Final = f"{PREFIX}:sensors"  # set: places of all sensors
SYNCED: Final = f"{PREFIX}:synced"  # string: written to learn what is on the server's disk
ASKED: Final = f"{PREFIX}:asked"  # string: written to learn whether the server takes writes
EPISODES: Final = f"{PREFIX}:episodes"  # sorted set: time index of all episodes, by opening
SITES: Final = f"{PREFIX}:sites"  # set: all sites
SOURCES: Final = f"{PREFIX}:sources"  # sorted set: all sources, by the time they were last detected
SOURCES_DUE: Final = f"{SOURCES}:due"  # sorted set: episodes whose source is to be found, by opening
SOURCES_KEPT: Final = f"{SOURCES}:kept"  # set: sources that are never removed
NAMED_SOUNDS: Final = f"{PREFIX}:names"  # hash: id to JSON of a named sound
NAMED_SOUNDS_VERSION: Final = f"{NAMED_SOUNDS}:version"  # string: number of changes of named sounds
VERDICTS: Final = f"{PREFIX}:feedback"  # hash: subject to JSON of a verdict
VERDICT_TIMES: Final = f"{VERDICTS}:index"  # sorted set: time index of subjects
OUTBOXES: Final = f"{PREFIX}:out"  # set: names of all notifiers that alerts were put out for
AUDIT: Final = f"{PREFIX}:audit"  # stream: the audit log, oldest first
DEAD_LETTERS: Final = f"{PREFIX}:dead-letters"  # stream: dead letters; payloads only of those of earlier hubs
DEAD_LETTER_QUEUES: Final = f"{DEAD_LETTERS}:bytes"  # sorted set: queues, by their bytes
DEAD_LETTER_BYTES: Final = f"{DEAD_LETTERS}:total"  # string: bytes of all dead letters
DEAD_LETTERS_DISCARDED: Final = f"{DEAD_LETTERS}:discarded"  # string: number of dead letters that limits pushed out
DEAD_LETTER_DIGESTS: Final = f"{DEAD_LETTERS}:retained"  # sorted set: digests of retained messages, by time
HOME_ASSISTANT_HOLDER: Final = f"{PREFIX}:homeassistant:holder"  # string: the hub that publishes to Home Assistant
HOME_ASSISTANT_TOPICS: Final = f"{PREFIX}:homeassistant:topics"  # set: all topics ever used for Home Assistant


def event(event: str) -> str:
    """Return the key of a hash: an event; `name`: the id of its named sound; levels: `hub.store.level_details`."""
    return f"{PREFIX}:event:{event}"


def events_of(what: str) -> str:
    """Return the key of a sorted set: time index of the events of a place, or of a category."""
    return f"{EVENTS}:{what}"


def alert(event: str) -> str:
    """Return the key of a string: JSON of an alert."""
    return f"{PREFIX}:alert:{event}"


def sensor(place: str) -> str:
    """Return the key of a hash: state of a sensor, its last report, what its events show; `edits` of its page."""
    return f"{PREFIX}:sensor:{place}"


def commands(place: str) -> str:
    """Return the key of a sorted set: time index of the latest commands to a sensor."""
    return f"{PREFIX}:commands:{place}"


def command(place: str, command: str) -> str:
    """Return the key of a hash: `command` as sent, a reply of each status, and `undelivered`."""
    return f"{PREFIX}:command:{place}:{command}"


def check(token: str, name: str) -> str:
    """Return the key of a value of any type: written and removed while a server is examined."""
    return f"{PREFIX}:check:{token}:{name}"


def recent(place: str) -> str:
    """Return the key of a string: JSON of a `SensorState`: the latest episodes of a sensor."""
    return f"{PREFIX}:sensor-state:{place}"


def active_hours_bitmap(place: str, year: int) -> str:
    """Return the key of a string: bitmap of the UTC hours of a year with events of a sensor."""
    return f"{PREFIX}:active-hours:{place}:{year}"


def episode(episode: str) -> str:
    """Return the key of a string: JSON of an episode; of one that became a part of another, that one's id."""
    return f"{PREFIX}:episode:{episode}"


def episodes_of(place: str, category: str) -> str:
    """Return the key of a sorted set: time index of a sensor's episodes of a category."""
    return f"{EPISODES}:{place}:{category}"


def traces(place: str, category: str) -> str:
    """Return the key of a sorted set: JSON of what events without an episode leave behind, by begin."""
    return f"{PREFIX}:traces:{place}:{category}"


def match_probabilities(site: str, category: str) -> str:
    """Return the key of a hash: episode to opening time and best match probability."""
    return f"{PREFIX}:match-probability:{site}:{category}"


def site_span(site: str) -> str:
    """Return the key of a sorted set: `first` and `newest` time of a site."""
    return f"{PREFIX}:span:{site}"


def legacy_site_span(site: str) -> str:
    """Return the key of a hash: `first_ms` and `newest_ms` of a site, as earlier hubs kept them."""
    return f"{PREFIX}:site:{site}"


def other_alerts(site: str) -> str:
    """Return the key of a string: JSON of the times of a site's alerts that belong to no recurrence."""
    return f"{PREFIX}:budget:{site}"


def alert_offers(site: str) -> str:
    """Return the key of a string: JSON of the `Offers` to a site's alert budget."""
    return f"{PREFIX}:offers:{site}"


def thresholds(site: str) -> str:
    """Return the key of a string: JSON of a site's estimated thresholds."""
    return f"{PREFIX}:thresholds:{site}"


def pinned_thresholds(site: str) -> str:
    """Return the key of a hash: category to the threshold that a person set."""
    return f"{PREFIX}:pinned:{site}"


def source(source: str) -> str:
    """Return the key of a string: JSON of a source; of one that became a part of another, that one's id."""
    return f"{PREFIX}:source:{source}"


def source_episodes(source: str) -> str:
    """Return the key of a sorted set: time index of a source's episodes."""
    return f"{PREFIX}:source:{source}:episodes"


def sources_of(site: str, category: str, space: str) -> str:
    """Return the key of a sorted set: sources of a group, by the time they were last detected."""
    return f"{SOURCES}:{site}:{category}:{space}"


def sources_version(site: str, category: str, space: str) -> str:
    """Return the key of a string: number of changes of a group's sources."""
    return f"{SOURCES}:version:{site}:{category}:{space}"


def sources_network(space: str) -> str:
    """Return the key of a string: fingerprint of the checkpoint that makes the identities of a feature space."""
    return f"{SOURCES}:network:{space}"


def source_members(site: str) -> str:
    """Return the key of a hash: episode to JSON of its membership in a source."""
    return f"{PREFIX}:members:{site}"


def named_sound_example(sound: str, event: str) -> str:
    """Return the key of a hash: a copy of an event that is an example of a named sound."""
    return f"{PREFIX}:name:{sound}:example:{event}"


def named_sound_returns(place: str) -> str:
    """Return the key of a hash: named sound to JSON of its returns at a sensor."""
    return f"{PREFIX}:returns:{place}"


def verdicts_of(alert: str) -> str:
    """Return the key of a set: subjects of an alert."""
    return f"{VERDICTS}:alert:{alert}"


def outbox(notifier: str) -> str:
    """Return the key of a stream: messages to send, each with the ids of its alerts."""
    return f"{OUTBOXES}:{notifier}"


def outbox_held(notifier: str) -> str:
    """Return the key of a sorted set: alerts held back, by the time since when."""
    return f"{OUTBOXES}:{notifier}:held"


def outbox_sent(notifier: str) -> str:
    """Return the key of a sorted set: alerts of the last day, by the time they were sent."""
    return f"{OUTBOXES}:{notifier}:sent"


def outbox_failures(notifier: str) -> str:
    """Return the key of a hash: message to its failed attempts; `reason` and `at` of the last failure."""
    return f"{OUTBOXES}:{notifier}:tries"


def outbox_dead_letters(notifier: str) -> str:
    """Return the key of a stream: messages that could not be delivered."""
    return f"{OUTBOXES}:{notifier}:dead"


def dead_letter(letter: str) -> str:
    """Return the key of a string: payload of a dead letter."""
    return f"{PREFIX}:dead-letter:{letter}"


def dead_letters_of(queue: str) -> str:
    """Return the key of a sorted set: time index of a queue, which is `<place>:<kind>`."""
    return f"{DEAD_LETTERS}:of:{queue}"


def drift_reference(space: str, network: str) -> str:
    """Return the key of a hash: drift reference of a network: `since_ms`, and `reference` as JSON once known."""
    return f"{PREFIX}:drift:{space}:{network}"


def probability_drift_reference(networks: str) -> str:
    """Return the key of a hash: drift reference of match probabilities; `networks`: fingerprints joined by `-`."""
    return f"{PREFIX}:drift:match-probability:{networks}"


def search_index(space: str, network: str) -> str:
    """Return the key of an index: the vectors of a network, for the Redis Query Engine."""
    return f"{PREFIX}:search:{space}:{network}"


def vector(space: str, network: str, event: str) -> str:
    """Return the key of a hash: vectors of an event."""
    return f"{PREFIX}:vector:{space}:{network}:{event}"


def session(digest: str) -> str:
    """Return the key of a string: JSON of a login on the page; it expires."""
    return f"{PREFIX}:session:{digest}"


def verdict_history(alert: str) -> str:
    """Return the key of a sorted set: JSON of every verdict on an alert and its matches, by time."""
    return f"{VERDICTS}:history:{alert}"


def delivery_ledger(place: str) -> str:
    """Return the key of a sorted set: JSON of what a sensor reported of its delivery, by the time it came."""
    return f"{PREFIX}:ledger:{place}"


def backup_copy(token: str, number: str) -> str:
    """Return the key of a value of any type: a copy of a key while a backup reads it; it expires."""
    return f"{PREFIX}:backup:{token}:{number}"


def erased_ids(place_digest: str) -> str:
    """Return the key of a set: digests of ids of a sensor's events and episodes that were erased with a period."""
    return f"{ERASURES}:ids:{place_digest}"
