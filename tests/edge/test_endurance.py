"""The measurement of the agent's memory, for a few seconds instead of a day."""

from pathlib import Path

from tests.edge.endurance import measure


def test_a_short_run_sends_every_clip_and_second_once_in_order_and_reads_the_memory(tmp_path: Path) -> None:
    done = measure(tmp_path, 6, "source.rate_hz=8000", clips_per_hour=2)
    assert (done.clips, done.repeats, done.out_of_order, done.misplaced) == (6, 0, 0, 0)
    assert done.level_seconds == 60
    assert len(done.hours_mb) == 3
    assert all(20.0 < mb < 1_000.0 for mb in done.hours_mb)
    assert done.growth == round(done.growth, 4)
