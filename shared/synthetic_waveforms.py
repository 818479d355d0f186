"""Noise, tones, blows and spells that synthetic sounds are made of."""

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

Signal = npt.NDArray[np.floating]

Random = np.random.Generator

_TABLE: Final = 2048

VOWELS: Final = np.asarray(
    [[730, 1090, 2440], [270, 2290, 3010], [300, 870, 2240], [530, 1840, 2480], [570, 840, 2410]], np.float64
)
"""First three formants in Hz of five vowels. Source: Peterson and Barney 1952, table II, men."""


def sample_count(rate_hz: int, duration_s: float) -> int:
    """Return the number of samples of a duration, at least 1."""
    return max(1, round(rate_hz * duration_s))


def scaled_to(sound: Signal, level_dbfs: float) -> Signal:
    """Scale a sound so that its active part (the blocks within 20 dB of the loudest) has this RMS level."""
    block = 2_048
    power = np.square(sound)
    blocks = np.add.reduceat(power, np.arange(0, power.size, block)) / block
    active = blocks[blocks > 0.01 * blocks.max(initial=0.0)]
    rms = float(np.sqrt(active.mean())) if active.size else 0.0
    return sound * (10.0 ** (level_dbfs / 20.0) / rms) if rms > 0.0 else sound


def shaped_noise(rng: Random, samples: int, rate_hz: int, shape: Callable[[Signal], Signal]) -> Signal:
    """Return Gaussian noise with a spectral shape, RMS 1; float64 [samples]."""
    bins = samples // 2 + 1
    spectrum = rng.standard_normal((bins, 2), dtype=np.float32).view(np.complex64)[:, 0]
    gain = shape(np.fft.rfftfreq(samples, 1.0 / rate_hz)[:bins])
    gain[0] = 0.0
    noise = np.asarray(np.fft.irfft(spectrum * gain, samples), dtype=np.float64)
    rms = float(np.sqrt(np.mean(np.square(noise))))
    return noise / rms if rms > 0.0 else noise


def slow_drift(rng: Random, samples: int, rate_hz: int, depth: float) -> Signal:
    """Return a slow random wander around 1, between about 1 - depth and 1 + depth."""
    knots = max(3, int(samples / rate_hz) + 2)
    return np.interp(np.linspace(0, knots - 1, samples), np.arange(knots), 1 + depth * rng.uniform(-1, 1, knots))


def tone_period(of: Random, harmonics: int, rolloff: float) -> Signal:
    """Return one period of a tone: harmonics falling as 1 / k**rolloff, with random gains and phases; peak 1."""
    k = np.arange(1, harmonics + 1)
    gains = of.uniform(0.4, 1.0, harmonics) / k**rolloff
    return _period(gains, of.uniform(0.0, 2.0 * np.pi, harmonics))


def vowel_period(formants_hz: Signal, pitch_hz: float) -> Signal:
    """Return one period of a voice at this pitch, its harmonics shaped by three resonances."""
    f = np.arange(1, max(2, int(4_000.0 / pitch_hz)) + 1) * pitch_hz
    widths = np.asarray([90.0, 120.0, 180.0])
    gains = np.sum(1.0 / (1.0 + ((f[:, None] - formants_hz) / widths) ** 2), axis=1) / np.sqrt(f / pitch_hz)
    return _period(gains, np.zeros(f.size))


def _period(gains: Signal, phases: Signal) -> Signal:
    spectrum = np.zeros(_TABLE // 2 + 1, dtype=np.complex128)
    spectrum[1 : gains.size + 1] = gains * np.exp(1j * phases)
    period = np.fft.irfft(spectrum, _TABLE)
    return np.asarray(period / np.abs(period).max(), dtype=np.float64)


def read_period(table: Signal, phase: Signal) -> Signal:
    """Read a period along a phase counted in periods."""
    return np.asarray(table[(phase * _TABLE).astype(np.int64) & (_TABLE - 1)])


def ringing_blow(of: Random, rate_hz: int, *, modes: int, low_hz: float, high_hz: float, decay_s: float) -> Signal:
    """Return the sound of one blow: damped modes over a click; float64 [about 6 decays]."""
    time = np.arange(max(8, int(6.0 * decay_s * rate_hz))) / rate_hz
    f = of.uniform(low_hz, min(high_hz, 0.45 * rate_hz), (modes, 1))
    decays_s = decay_s * of.uniform(0.4, 1.2, (modes, 1))
    ringing = np.exp(-time / decays_s) * np.sin(2.0 * np.pi * f * time) * of.uniform(0.3, 1.0, (modes, 1))
    click = of.standard_normal(time.size) * np.exp(-time / 0.003)
    return np.asarray(ringing.sum(axis=0) + click, dtype=np.float64)


def kick_drum(rate_hz: int) -> Signal:
    """Return one blow of a bass drum; float64."""
    time = np.arange(int(0.18 * rate_hz)) / rate_hz
    sweep = np.cumsum(50.0 + 90.0 * np.exp(-time / 0.02)) / rate_hz
    return np.asarray(np.sin(2.0 * np.pi * sweep) * np.exp(-time / 0.05), dtype=np.float64)


def strike_at(times_s: Signal, gains: Signal, kernel: Signal, samples: int, rate_hz: int) -> Signal:
    """Add a sound at each time, with its gain; return float64 [samples]."""
    out = np.zeros(samples)
    for at, gain in zip((times_s * rate_hz).astype(int), gains, strict=True):
        if 0 <= at < samples:
            room = min(kernel.size, samples - at)
            out[at : at + room] += gain * kernel[:room]
    return out


def active_spells(
    rng: Random, duration_s: float, on_s: tuple[float, float], off_s: tuple[float, float]
) -> list[tuple[float, float]]:
    """Return random spells of activity, (start, end) in seconds; the first begins within the first pause."""
    spells = []
    at = rng.uniform(0.0, min(off_s[1], 0.3 * duration_s))
    while at < duration_s:
        end = at + rng.uniform(*on_s)
        spells.append((at, end))
        at = end + rng.uniform(*off_s)
    return spells


def is_inside(times_s: Signal, spells: list[tuple[float, float]]) -> npt.NDArray[np.bool_]:
    """Return which times lie in one of the spells."""
    inside = np.zeros(times_s.size, dtype=np.bool_)
    for start, end in spells:
        inside |= (times_s >= start) & (times_s < end)
    return inside


def spell_gate(spells: list[tuple[float, float]], samples: int, rate_hz: int, ramp_s: float) -> Signal:
    """Return 1 inside the spells and 0 outside, with ramps."""
    gate = np.zeros(samples)
    for start, end in spells:
        gate[int(start * rate_hz) : int(end * rate_hz)] = 1.0
    return moving_average(gate, int(ramp_s * rate_hz))


def moving_average(signal: Signal, width: int) -> Signal:
    """Return the moving average over `width` samples."""
    if width < 2:
        return signal
    total = np.cumsum(np.concatenate([np.zeros(width), signal]))
    return np.asarray((total[width:] - total[:-width]) / width)


def scale_pitch(root_hz: float, scale: npt.NDArray[np.int64], degree: int) -> float:
    """Return the frequency of a degree of a scale, in Hz."""
    octave, step = divmod(degree, scale.size)
    return float(root_hz * 2.0 ** (octave + scale[step] / 12.0))


def add_note(
    out: Signal,
    table: Signal,
    gain: float,
    pitch_hz: float,
    *,
    at_s: float,
    length_s: float,
    rate_hz: int,
    bend: float = 0.0,
) -> None:
    """Add one enveloped tone to `out`; `bend` is the relative change of pitch towards its end."""
    begin = int(at_s * rate_hz)
    length = min(int(length_s * rate_hz), out.size - begin)
    if length < 2:
        return
    x = np.arange(length) / (length_s * rate_hz)
    phase = pitch_hz * length_s * (x + 0.5 * bend * x * x)
    envelope = np.minimum(np.minimum(x * 20.0, 1.0), (1.0 - x) * 2.5)
    out[begin : begin + length] += gain * envelope * read_period(table, phase)


def add_burst(out: Signal, rng: Random, gain: float, *, at_s: float, length_s: float, rate_hz: int) -> None:
    """Add one decaying burst of bright noise to `out`."""
    begin = int(at_s * rate_hz)
    length = min(int(length_s * rate_hz), out.size - begin)
    if length < 2:
        return
    puff = np.diff(rng.standard_normal(length + 1))
    out[begin : begin + length] += 0.5 * gain * puff * np.linspace(1.0, 0.0, length)
