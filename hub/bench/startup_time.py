"""How long a hub takes to be ready for an archive that is there: from the store alone, and from its snapshot."""

import contextlib
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hub.bench.server_processes import Told, hub_process, prefill_store, servers
from hub.bench.synthetic_archive import real_clips
from hub.store.events import EventStore
from shared.feature_space import VGGISH


@dataclass(frozen=True, slots=True)
class StartFigures:
    """What `bench start` prints.

    Attributes:
        events: in the archive.
        from_store_s: from the program's start until it is healthy, all from Redis.
        from_snapshot_s: the same, from the snapshot that the first run left.
        snapshot_bytes_per_event: on disk.
        fill_events_per_s: archived per second when the store was filled, clips made included.
    """

    events: int
    from_store_s: float
    from_snapshot_s: float
    snapshot_bytes_per_event: float
    fill_events_per_s: float


def start_figures(
    data: Path | None, *, events: int, settings: tuple[str, ...] = (), told: Told = lambda *_: None
) -> StartFigures:
    """Measure.

    Args:
        data: folder of real embeddings; None: random ones.
        events: in the archive.
        settings: more of the hub's, each as of `--set`.
        told: progress.

    Raises:
        Unavailable: `mosquitto` or `redis-server` is not installed, or a program does not come up.
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
        prefill_store(store, clips, events, rng, told)
        filled = time.monotonic() - started
        taken = []
        for _ in range(2):
            started = time.monotonic()
            with hub_process(folder, mqtt_port, url, (f"search.snapshot_dir={snapshots}", *settings), told):
                taken.append(time.monotonic() - started)
        size = sum(path.stat().st_size for path in snapshots.rglob("*.safetensors"))
    return StartFigures(
        events=events,
        from_store_s=taken[0],
        from_snapshot_s=taken[1],
        snapshot_bytes_per_event=size / events,
        fill_events_per_s=events / filled,
    )
