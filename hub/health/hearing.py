"""What each event tells of its sensor, kept in the sensor's hash as the event is archived, whichever hub takes it.

Numbers: of its two latest boots the first and highest sequence number and how many came between; what is missing is
added up over all boots, and what comes late is taken off again. Level: the last one; until when it lay above the
microphone's floor; and when it last moved away from where it had stayed.

`NOTE` is a part of the archive's script: it runs once for each event that is new, and never for a repeat.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hub.stored import StoredEvent

NOTE: Final = """
local function note(key, boot, seq, ms, level, loud, steady, unit)
  local h = redis.call('HMGET', key, 'b1', 'f1', 't1', 'c1', 'b2', 'f2', 't2', 'c2', 'missing', 'stay', 'varied_ms',
    'sound_ms')
  local at = h[1] == boot and 1 or h[5] == boot and 5 or 0
  local missing, first, top, count = tonumber(h[9] or 0), seq, seq, 1
  if at > 0 then
    first, top, count = tonumber(h[at + 1]), tonumber(h[at + 2]), tonumber(h[at + 3])
    missing = missing - (top - first + 1 - count)
    first, top, count = math.min(first, seq), math.max(top, seq), count + 1
    missing = missing + (top - first + 1 - count)
  elseif h[1] then
    redis.call('HSET', key, 'b2', h[1], 'f2', h[2], 't2', h[3], 'c2', h[4])
  end
  local n = at == 5 and '2' or '1'
  local stay, varied, sound = tonumber(h[10] or 1e9), tonumber(h[11] or ms), tonumber(h[12] or ms)
  if math.abs(level - stay) >= steady then stay, varied = level, math.max(varied, ms) end
  if loud then sound = math.max(sound, ms) end
  redis.call('HSET', key, 'b' .. n, boot, 'f' .. n, string.format('%.0f', first), 't' .. n,
    string.format('%.0f', top), 'c' .. n, count, 'missing', string.format('%.0f', math.max(0, missing)),
    'stay', stay, 'varied_ms', string.format('%.0f', varied), 'sound_ms', string.format('%.0f', sound),
    'level', level, 'unit', unit)
end
"""


@dataclass(frozen=True, slots=True)
class Ear:
    """What a microphone that lives is known by.

    Attributes:
        floor_db: LAeq below which a calibrated one is dead, in dB.
        floor_dbfs: the same of one that is not calibrated, in dBFS.
        steady_db: a level that moves by less stays where it was, in dB.
    """

    floor_db: float = 20.0
    floor_dbfs: float = -100.0
    steady_db: float = 0.3

    def arguments(self, event: StoredEvent) -> tuple[str | int | float, ...]:
        """Of an event, what `note` takes after the key and before the time: boot, seq, level, loud, steady, unit."""
        levels = event.levels
        loud = levels.laeq >= (self.floor_db if levels.unit == "dB" else self.floor_dbfs)
        return (event.id.boot, event.id.seq, levels.laeq, int(loud), self.steady_db, levels.unit)


@dataclass(frozen=True, slots=True)
class Hearing:
    """What the events of a sensor told of it.

    Attributes:
        missing: events that were numbered and never came.
        level: LAeq of the last one, in `unit`; None before the first.
        unit: dB or dBFS.
        sound_s: when the level last lay above the floor, in seconds since 1970 UTC; None before the first event.
        varied_s: when it last moved.
    """

    missing: int
    level: float | None
    unit: str
    sound_s: float | None
    varied_s: float | None


def hearing_of(row: Mapping[bytes, bytes]) -> Hearing:
    """From the fields of a sensor's hash."""
    level, sound, varied = row.get(b"level"), row.get(b"sound_ms"), row.get(b"varied_ms")
    return Hearing(
        missing=int(row.get(b"missing", b"0")),
        level=None if level is None else float(level),
        unit=row.get(b"unit", b"").decode(),
        sound_s=None if sound is None else int(sound) / 1000,
        varied_s=None if varied is None else int(varied) / 1000,
    )
