"""Signal statistics of sensors, updated in the sensor's hash as any hub archives an event.

Numbers: of its two latest boots the first and highest sequence number and how many came between; what is missing is
added up over all boots, and what comes late is taken off again. What the sensor's state reports of its numbers counts
too: a boot that began while the hub knew the sensor began at the reported number, and the boot before the present one
ended at the reported number, once an event of the present one is there. Level: the last one; until when it lay above
the microphone's floor; and when it last moved away from where it had stayed. Times are of receipt: of a backlog,
or where a clock is wrong, those of capture would show a dead microphone.

`UPDATE_SIGNAL_STATS_LUA` is a part of the archive's script: it runs once for each event that is new, and never for a
repeat.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from hub.domain.records import StoredEvent
from shared.messages.sensor import StateMessage

FIELD: Final = "signals"
"""The field of the sensor's hash."""
_NUMBERS: Final = struct.Struct("<11d")
"""First, highest and count of the latest boot, and of the other; missing, level, where it stayed, times in ms."""

REPORTED: Final = "numbers"
"""The field with the numbers that the state reported: boot, first number, boot before, last number of that."""
BEGAN: Final = "began"
"""The field with the boot that announced itself to the hub before its first event."""

UPDATE_SIGNAL_STATS_LUA: Final = """
local function note(known, reported, began, boot, seq, ms, level, loud, steady, unit)
  local f1, t1, c1, f2, t2, c2, missing, stay, varied, sound = seq, seq, 1, 0, 0, 0, 0, level, ms, ms
  local b1, b2, _ = boot, '-', 0
  if known and string.match(known, '^%S+ %S+ ', 89) then
    f1, t1, c1, f2, t2, c2, missing, _, stay, varied, sound = struct.unpack('<ddddddddddd', known)
    b1, b2 = string.match(known, '^(%S+) (%S+)', 89)
    if boot == b1 then
      local before = t1 - f1 - c1
      f1, t1, c1 = math.min(f1, seq), math.max(t1, seq), c1 + 1
      missing = missing + (t1 - f1 - c1) - before
    elseif boot == b2 then
      local before = t2 - f2 - c2
      f2, t2, c2 = math.min(f2, seq), math.max(t2, seq), c2 + 1
      missing = missing + (t2 - f2 - c2) - before
    else
      b2, f2, t2, c2 = b1, f1, t1, c1
      b1, f1, t1, c1 = boot, seq, seq, 1
    end
    if math.abs(level - stay) >= steady then stay, varied = level, math.max(varied, ms) end
    if loud then sound = math.max(sound, ms) end
  end
  local now, first, before, last = string.match(reported or '', '^(%S+) (%S+) (%S+) (%S+)$')
  first, last = tonumber(first), tonumber(last)
  if now == b1 and first and first < f1 and (b2 ~= '-' or began == b1) then
    missing, f1 = missing + f1 - first, first
  end
  if now == b1 and before == b2 and last and last > t2 then
    missing, t2 = missing + last - t2, last
  end
  return struct.pack('<ddddddddddd', f1, t1, c1, f2, t2, c2, missing, level, stay, varied, sound)
    .. b1 .. ' ' .. b2 .. ' ' .. unit
end
"""


@dataclass(frozen=True, slots=True)
class SilenceThresholds:
    """Limits that distinguish a working microphone from a dead one.

    Attributes:
        silence_db: LAeq below which a calibrated one is dead, in dB.
        silence_dbfs: the same of one that is not calibrated, in dBFS.
        min_level_change_db: a level that moves by less stays where it was, in dB.
    """

    silence_db: float = 20.0
    silence_dbfs: float = -100.0
    min_level_change_db: float = 0.3

    def arguments(self, event: StoredEvent) -> tuple[str | int | float, ...]:
        """Return an event's arguments of `note` between key and time: boot, seq, level, loud, steady, unit."""
        levels = event.levels
        loud = levels.laeq >= (self.silence_db if levels.unit == "dB" else self.silence_dbfs)
        return (event.id.boot, event.id.seq, levels.laeq, int(loud), self.min_level_change_db, levels.unit)


@dataclass(frozen=True, slots=True)
class SignalStats:
    """Statistics of the events of a sensor.

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


NOTHING: Final = SignalStats(0, None, "", None, None)
"""Statistics of a sensor without events."""


def numbers_fields(state: StateMessage, known: Mapping[str, str]) -> dict[str, str]:
    """Return what a state reports of its sensor's sequence numbers, as fields of the sensor's hash.

    Args:
        state: with a report or without.
        known: the fields `boot` and `highest_seq` as they are, those that are there: of a boot whose successor does
            not know its last number, the last one that the hub received is taken.
    """
    report = state.report
    if report is None or "highest_seq" not in report.model_fields_set:  # an earlier version of the sensor
        return {}
    before, last = report.previous_boot, report.previous_seq
    boot, highest = known.get("boot"), known.get("highest_seq")
    if boot and highest and boot != state.boot and before in {None, boot}:
        before, last = boot, max(int(highest), last or 0)
    fields = {"highest_seq": "" if report.highest_seq is None else str(report.highest_seq)}
    if report.highest_seq is None:
        fields[BEGAN] = state.boot
    if boot != state.boot or report.previous_seq is not None:  # else what the hub remembers stays
        numbers = (0 if report.first_seq is None else report.first_seq, before or "-", "-" if last is None else last)
        fields[REPORTED] = " ".join(map(str, (state.boot, *numbers)))
    return fields


def parse_signal_stats(row: Mapping[bytes, bytes]) -> SignalStats:
    """From the fields of a sensor's hash."""
    kept = row.get(FIELD.encode())
    if kept is None:
        return NOTHING
    *_, missing, level, _, varied_ms, sound_ms = _NUMBERS.unpack_from(kept)
    unit = kept[_NUMBERS.size :].decode().split()[2]
    return SignalStats(int(missing), level, unit, sound_ms / 1000, varied_ms / 1000)
