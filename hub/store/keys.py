"""Define the key of everything that the hub keeps in Redis; `hub.store.level_keys` defines those of levels.

No other module spells a key. All JSON has the form of `hub.store.json_rows`. `place` is `site/sensor`. Times are ms
since 1970 UTC. A time index is a sorted set of ids by such a time.

| key | type | content |
|---|---|---|
| `ew:event:<event>` | hash | an event; `name`: the id of its named sound; levels: `hub.store.level_details` |
| `ew:events` | sorted set | time index of all events, by capture |
| `ew:events:<what>` | sorted set | time index of the events of a place, or of a category |
| `ew:late` | sorted set | events that came more than a day after their capture, by receipt |
| `ew:changes` | stream | events that were added and removed |
| `ew:alert:<event>` | string | JSON of an alert |
| `ew:alerts` | sorted set | time index of all alerts |
| `ew:alerts:pending` | stream | events whose alerts were not dispatched yet |
| `ew:sensors` | set | places of all sensors |
| `ew:sensor:<place>` | hash | state of a sensor, its last report and what its events show of it |
| `ew:commands:<place>` | sorted set | time index of the latest commands to a sensor |
| `ew:command:<place>:<command>` | hash | `command` as sent, a reply of each status, and `undelivered` |
| `ew:synced` | string | written to learn what is on the server's disk |
| `ew:asked` | string | written to learn whether the server takes writes |
| `ew:check:<token>:<name>` | any | written and removed while a server is examined |
| `ew:sensor-state:<place>` | string | JSON of a `SensorState`: the latest episodes of a sensor |
| `ew:active-hours:<place>:<year>` | string | bitmap of the UTC hours of a year with events of a sensor |
| `ew:episode:<episode>` | string | JSON of an episode; of one that became a part of another, that one's id |
| `ew:episodes` | sorted set | time index of all episodes, by opening |
| `ew:episodes:<place>:<category>` | sorted set | time index of a sensor's episodes of a category |
| `ew:traces:<place>:<category>` | sorted set | JSON of what events without an episode leave behind, by begin |
| `ew:match-probability:<site>:<category>` | hash | episode to opening time and best match probability |
| `ew:sites` | set | all sites |
| `ew:span:<site>` | sorted set | `first` and `newest` time of a site |
| `ew:site:<site>` | hash | the same, as earlier hubs kept it: `first_ms`, `newest_ms` |
| `ew:budget:<site>` | string | JSON of the times of a site's alerts that belong to no recurrence |
| `ew:offers:<site>` | string | JSON of the `Offers` to a site's alert budget |
| `ew:thresholds:<site>` | string | JSON of a site's estimated thresholds |
| `ew:pinned:<site>` | hash | category to the threshold that a person set |
| `ew:source:<source>` | string | JSON of a source; of one that became a part of another, that one's id |
| `ew:source:<source>:episodes` | sorted set | time index of a source's episodes |
| `ew:sources` | sorted set | all sources, by the time they were last detected |
| `ew:sources:<site>:<category>:<space>` | sorted set | the same of a group |
| `ew:sources:due` | sorted set | episodes whose source is to be found, by opening |
| `ew:sources:kept` | set | sources that are never removed |
| `ew:sources:version:<site>:<category>:<space>` | string | number of changes of a group's sources |
| `ew:sources:network:<space>` | string | fingerprint of the checkpoint that makes the identities of a feature space |
| `ew:members:<site>` | hash | episode to JSON of its membership in a source |
| `ew:names` | hash | id to JSON of a named sound |
| `ew:names:version` | string | number of changes of named sounds |
| `ew:name:<sound>:example:<event>` | hash | a copy of an event that is an example of a named sound |
| `ew:returns:<place>` | hash | named sound to JSON of its returns at a sensor |
| `ew:feedback` | hash | subject to JSON of a verdict |
| `ew:feedback:index` | sorted set | time index of subjects |
| `ew:feedback:alert:<alert>` | set | subjects of an alert |
| `ew:out` | set | names of all notifiers that alerts were put out for |
| `ew:out:<notifier>` | stream | messages to send, each with the ids of its alerts |
| `ew:out:<notifier>:held` | sorted set | alerts held back, by the time since when |
| `ew:out:<notifier>:sent` | sorted set | alerts of the last day, by the time they were sent |
| `ew:out:<notifier>:tries` | hash | message to its failed attempts; `reason` and `at` of the last failure |
| `ew:out:<notifier>:dead` | stream | messages that could not be delivered |
| `ew:dead-letters` | stream | dead letters, without their payloads; those of earlier hubs with them |
| `ew:dead-letter:<letter>` | string | payload of a dead letter |
| `ew:dead-letters:of:<queue>` | sorted set | time index of a queue, which is `<place>:<kind>` |
| `ew:dead-letters:bytes` | sorted set | queues, by their bytes |
| `ew:dead-letters:total` | string | bytes of all dead letters |
| `ew:dead-letters:discarded` | string | number of dead letters that limits pushed out |
| `ew:dead-letters:retained` | sorted set | digests of retained messages, by time |
| `ew:drift:<space>:<network>` | hash | `since_ms`, and `reference` as JSON once it is known |
| `ew:drift:match-probability:<networks>` | hash | the same of match probabilities; fingerprints with `-` between |
| `ew:homeassistant:holder` | string | the hub that publishes to Home Assistant |
| `ew:homeassistant:topics` | set | all topics that were ever used for Home Assistant |
| `ew:search:<space>:<network>` | index | search index of the vectors |
| `ew:vector:<space>:<network>:<event>` | hash | vectors of an event |

A function called with "" for its last argument returns what all its keys begin with: scripts and indexes need that.
"""

from typing import Final

PREFIX: Final = "ew"

EVENTS: Final = f"{PREFIX}:events"
LATE: Final = f"{PREFIX}:late"
CHANGES: Final = f"{PREFIX}:changes"
ALERTS: Final = f"{PREFIX}:alerts"
ALERTS_PENDING: Final = f"{ALERTS}:pending"
SENSORS: Final = f"{PREFIX}:sensors"
SYNCED: Final = f"{PREFIX}:synced"
ASKED: Final = f"{PREFIX}:asked"
EPISODES: Final = f"{PREFIX}:episodes"
SITES: Final = f"{PREFIX}:sites"
SOURCES: Final = f"{PREFIX}:sources"
SOURCES_DUE: Final = f"{SOURCES}:due"
SOURCES_KEPT: Final = f"{SOURCES}:kept"
NAMED_SOUNDS: Final = f"{PREFIX}:names"
NAMED_SOUNDS_VERSION: Final = f"{NAMED_SOUNDS}:version"
VERDICTS: Final = f"{PREFIX}:feedback"
VERDICT_TIMES: Final = f"{VERDICTS}:index"
OUTBOXES: Final = f"{PREFIX}:out"
DEAD_LETTERS: Final = f"{PREFIX}:dead-letters"
DEAD_LETTER_QUEUES: Final = f"{DEAD_LETTERS}:bytes"
DEAD_LETTER_BYTES: Final = f"{DEAD_LETTERS}:total"
DEAD_LETTERS_DISCARDED: Final = f"{DEAD_LETTERS}:discarded"
DEAD_LETTER_DIGESTS: Final = f"{DEAD_LETTERS}:retained"
HOME_ASSISTANT_HOLDER: Final = f"{PREFIX}:homeassistant:holder"
HOME_ASSISTANT_TOPICS: Final = f"{PREFIX}:homeassistant:topics"


def event(event: str) -> str:
    """Hash of an event."""
    return f"{PREFIX}:event:{event}"


def events_of(what: str) -> str:
    """Time index of the events of a place, or of a category."""
    return f"{EVENTS}:{what}"


def alert(event: str) -> str:
    """Return the key of the alert of an event."""
    return f"{PREFIX}:alert:{event}"


def sensor(place: str) -> str:
    """Hash of a sensor."""
    return f"{PREFIX}:sensor:{place}"


def commands(place: str) -> str:
    """Time index of the latest commands to a sensor."""
    return f"{PREFIX}:commands:{place}"


def command(place: str, command: str) -> str:
    """Hash of a command to a sensor."""
    return f"{PREFIX}:command:{place}:{command}"


def check(token: str, name: str) -> str:
    """Return a key for one examination of a server."""
    return f"{PREFIX}:check:{token}:{name}"


def recent(place: str) -> str:
    """Return the key of the open episodes of a sensor."""
    return f"{PREFIX}:sensor-state:{place}"


def active_hours_bitmap(place: str, year: int) -> str:
    """Bitmap of the hours of a year with events of a sensor."""
    return f"{PREFIX}:active-hours:{place}:{year}"


def episode(episode: str) -> str:
    """Return the key of an episode."""
    return f"{PREFIX}:episode:{episode}"


def episodes_of(place: str, category: str) -> str:
    """Time index of a sensor's episodes of a category."""
    return f"{EPISODES}:{place}:{category}"


def traces(place: str, category: str) -> str:
    """Traces of a sensor's events of a category."""
    return f"{PREFIX}:traces:{place}:{category}"


def match_probabilities(site: str, category: str) -> str:
    """Match probabilities of a site's episodes of a category."""
    return f"{PREFIX}:match-probability:{site}:{category}"


def site_span(site: str) -> str:
    """First and newest time of a site."""
    return f"{PREFIX}:span:{site}"


def legacy_site_span(site: str) -> str:
    """First and newest time of a site, as earlier hubs kept them."""
    return f"{PREFIX}:site:{site}"


def other_alerts(site: str) -> str:
    """Return the key of the times of a site's alerts that belong to no recurrence."""
    return f"{PREFIX}:budget:{site}"


def alert_offers(site: str) -> str:
    """Offers to a site's alert budget."""
    return f"{PREFIX}:offers:{site}"


def thresholds(site: str) -> str:
    """Estimated thresholds of a site."""
    return f"{PREFIX}:thresholds:{site}"


def pinned_thresholds(site: str) -> str:
    """Thresholds that a person set at a site."""
    return f"{PREFIX}:pinned:{site}"


def source(source: str) -> str:
    """Return the key of a source."""
    return f"{PREFIX}:source:{source}"


def source_episodes(source: str) -> str:
    """Time index of a source's episodes."""
    return f"{PREFIX}:source:{source}:episodes"


def sources_of(site: str, category: str, space: str) -> str:
    """Time index of a group's sources."""
    return f"{SOURCES}:{site}:{category}:{space}"


def sources_version(site: str, category: str, space: str) -> str:
    """Counter of the changes of a group's sources."""
    return f"{SOURCES}:version:{site}:{category}:{space}"


def sources_network(space: str) -> str:
    """Fingerprint of the checkpoint that makes a feature space's identities."""
    return f"{SOURCES}:network:{space}"


def source_members(site: str) -> str:
    """Hash of a site's episodes that are of a source."""
    return f"{PREFIX}:members:{site}"


def named_sound_example(sound: str, event: str) -> str:
    """Copy of an event that is an example of a named sound."""
    return f"{PREFIX}:name:{sound}:example:{event}"


def named_sound_returns(place: str) -> str:
    """Return the key of the returns of named sounds at a sensor."""
    return f"{PREFIX}:returns:{place}"


def verdicts_of(alert: str) -> str:
    """Subjects of the verdicts on an alert."""
    return f"{VERDICTS}:alert:{alert}"


def outbox(notifier: str) -> str:
    """Stream of the messages that a notifier is to send."""
    return f"{OUTBOXES}:{notifier}"


def outbox_held(notifier: str) -> str:
    """Alerts that a notifier holds back."""
    return f"{OUTBOXES}:{notifier}:held"


def outbox_sent(notifier: str) -> str:
    """Alerts that a notifier sent in the last day."""
    return f"{OUTBOXES}:{notifier}:sent"


def outbox_failures(notifier: str) -> str:
    """Failed attempts of a notifier."""
    return f"{OUTBOXES}:{notifier}:tries"


def outbox_dead_letters(notifier: str) -> str:
    """Stream of the messages that a notifier gave up."""
    return f"{OUTBOXES}:{notifier}:dead"


def dead_letter(letter: str) -> str:
    """Payload of a dead letter."""
    return f"{PREFIX}:dead-letter:{letter}"


def dead_letters_of(queue: str) -> str:
    """Time index of a queue, `<place>:<kind>`."""
    return f"{DEAD_LETTERS}:of:{queue}"


def drift_reference(space: str, network: str) -> str:
    """Return the key of the reference for drift of a network's input and output."""
    return f"{PREFIX}:drift:{space}:{network}"


def probability_drift_reference(networks: str) -> str:
    """Return the key of the reference for drift of match probabilities."""
    return f"{PREFIX}:drift:match-probability:{networks}"


def search_index(space: str, network: str) -> str:
    """Search index of a network's vectors."""
    return f"{PREFIX}:search:{space}:{network}"


def vector(space: str, network: str, event: str) -> str:
    """Vectors of an event."""
    return f"{PREFIX}:vector:{space}:{network}:{event}"
