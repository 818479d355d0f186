"""One benchmark of a sensor in a process of its own: `python -m edge.bench_process MODE SPACE REPEATS`.

`edge.bench` starts it. It prints one line of JSON. The modes are:

- `clip`: measure all levels and bands of a clip and encode it as an event with FLAC;
- `embedding`: the same with an embedding instead of FLAC;
- `levels`: measure all levels and bands only.
"""

import importlib
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from edge.encode import encode
from edge.sources import AudioClip
from shared.audio import Waveform
from shared.backbones import resolve_manifest
from shared.backbones.benchmark import RATE_HZ, peak_mb
from shared.command_line import to_json
from shared.events import CLIP_S, EARLIEST, EventId
from shared.extractor import FeatureExtractor
from shared.levels.meter import LevelMeter
from shared.messages.event import encode_event

FORBIDDEN = ("redis", "scipy", "torch")
"""Modules that a sensor does not need; the report names those that were imported."""


def run(mode: str, space: str, repeats: int) -> dict[str, object]:
    """Process clips of 10 s at 48 kHz and return the result.

    Returns:
        `realtime_factor`: seconds of sound per second of CPU time, over all threads. `peak_mb`: peak memory of this
        process. `forbidden`: imported modules that a sensor does not need.
    """
    importlib.import_module("edge.agent")  # the memory is that of the whole program
    clip = (0.1 * np.random.default_rng(0).standard_normal(int(CLIP_S * RATE_HZ))).astype(np.float32)
    process = _work(mode, space)
    process(clip)
    started_s = time.process_time()
    for _ in range(repeats):
        process(clip)
    used_s = time.process_time() - started_s
    return {
        "realtime_factor": round(repeats * CLIP_S / max(used_s, 1e-9), 1),
        "peak_mb": peak_mb(),
        "forbidden": sorted(name for name in FORBIDDEN if name in sys.modules),
    }


def _work(mode: str, space: str) -> Callable[[Waveform], object]:
    meter = LevelMeter(RATE_HZ)
    if mode == "levels":
        return meter.measure
    extractor: FeatureExtractor | None = None
    if mode == "embedding":
        from shared.backbones.onnx_backbone import Backbone  # noqa: PLC0415 - sensors that send audio do not load it

        extractor = Backbone(resolve_manifest(space))
    return partial(_process_clip, meter, extractor)


def _process_clip(meter: LevelMeter, extractor: FeatureExtractor | None, clip: Waveform) -> bytes:
    event_id = EventId("bench", "bench", "bench", 0)
    item = AudioClip(clip, RATE_HZ, continues=True)
    measured = meter.measure(clip)
    return encode_event(encode(item, event_id, captured_at=EARLIEST, extractor=extractor, measured=measured))


if __name__ == "__main__":
    print(to_json(run(sys.argv[1], sys.argv[2], int(sys.argv[3]))))  # noqa: T201 - read by `edge.bench`
