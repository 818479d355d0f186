"""Time until a hub with a filled archive is healthy: from Redis alone, and from its snapshot."""

import contextlib
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hub.bench.server_processes import ProgressFn, hub_process, prefill_store, servers
from hub.bench.synthetic_archive import real_clips
from hub.store.events import EventStore
from shared.feature_space import VGGISH


@dataclass(frozen=True, slots=True)
class StartFigures:
    """Figures that `bench start` prints.

    Attributes:
        events: events in the archive.
        from_store_s: time from the program's start until it is healthy, all read from Redis, s.
        from_snapshot_s: the same with the snapshot of the first run, s.
        snapshot_bytes_per_event: size of the snapshot on disk per event, bytes.
        fill_events_per_s: events stored per second while filling the archive, including making the clips.
    """

    events: int
    from_store_s: float
    from_snapshot_s: float
    snapshot_bytes_per_event: float
    fill_events_per_s: float


def start_figures(
    data: Path | None, *, events: int, settings: tuple[str, ...] = (), progress: ProgressFn = lambda *_: None
) -> StartFigures:
    """Measure the start of a hub.

    Args:
        data: folder of real embeddings; None: random ones.
        events: events in the archive.
        settings: further settings of the hub, each as for `--set`.
        progress: called with the current step and its share done, in [0, 1].

    Raises:
        UnavailableError: `mosquitto` or `redis-server` is not installed, or a program does not start.
    """
    rng = np.random.default_rng(0)
    clips, _ = real_clips(data, VGGISH, rng)
    with tempfile.TemporaryDirectory(prefix="earwitness-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        snapshots = folder / "snapshots"
        mqtt_port, url = stack.enter_context(servers(folder))
        store = EventStore(url)
        stack.callback(store.close)
        started = time.monotonic()
        prefill_store(store, clips, events, rng, progress)
        filled = time.monotonic() - started
        taken = []
        for _ in range(2):
            started = time.monotonic()
            with hub_process(folder, mqtt_port, url, (f"search.snapshot_dir={snapshots}", *settings), progress):
                taken.append(time.monotonic() - started)
        size = sum(path.stat().st_size for path in snapshots.rglob("*.safetensors"))
    return StartFigures(
        events=events,
        from_store_s=taken[0],
        from_snapshot_s=taken[1],
        snapshot_bytes_per_event=size / events,
        fill_events_per_s=events / filled,
    )
