"""A synthetic street: random mixtures of the eight categories over traffic-like noise, for demo and training.

1. A *character* is an integer seed that identifies a source (this jackhammer, that dog).
2. A generator renders a performance of a character: it draws the parameters from the character and the timing from
   `rng`.
3. `make_scene` mixes up to three performances over a background at random levels.
4. A `SoundCast` is a small pool of characters, so that the same sources recur at every sensor.

All functions are pure functions of their generator. A waveform is float32 [samples], full scale = 1.0.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from shared.audio import Waveform
from shared.errors import InvalidError
from shared.taxonomy import CATEGORIES

Signal = npt.NDArray[np.floating]
Random = np.random.Generator

SOURCES_ODDS: Final = (0.12, 0.38, 0.32, 0.18)
"""Probabilities that a scene contains 0, 1, 2 or 3 categories."""
BACKGROUND_DBFS: Final = (-52.0, -34.0)
"""Range of the background's RMS level, dB re full scale."""
ABOVE_BACKGROUND_DB: Final = (6.0, 24.0)
"""Range of a source's level over the background while it sounds, dB."""
CEILING: Final = 0.97
"""Peak to which a mixture that would clip is scaled down."""
_TABLE: Final = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One mixture and its labels.

    Attributes:
        waveform: float32 [samples], in [-1, 1].
        labels: names of the categories in it.
    """

    waveform: Waveform
    labels: frozenset[str]


@dataclass(frozen=True, slots=True)
class SoundCast:
    """The recurring sources of a neighbourhood: the characters of each category."""

    characters: Mapping[str, tuple[int, ...]]

    @classmethod
    def drawn(cls, seed: int, per_category: int = 2) -> "SoundCast":
        """Draw a cast; the same seed gives the same neighbourhood to every sensor.

        Args:
            seed: any integer from 0.
            per_category: number of characters of each category, from 1.
        """
        rng = np.random.default_rng(seed)
        drawn = rng.integers(2**32, size=(len(CATEGORIES), per_category))
        return cls({name: tuple(map(int, row)) for name, row in zip(CATEGORIES, drawn, strict=True)})

    def character(self, category: str, rng: Random) -> int:
        """Pick one of the category's characters."""
        return int(rng.choice(np.asarray(self.characters[category])))


def make_scene(rng: Random, rate_hz: int, duration_s: float = 10.0, cast: SoundCast | None = None) -> Scene:
    """Make one scene of 0 to 3 categories.

    Args:
        rng: random generator; an equal generator gives an equal scene.
        rate_hz: sample rate in Hz, from 8,000.
        duration_s: length in seconds, in (0, 60].
        cast: recurring sources; None draws new ones every time.

    Raises:
        InvalidError: a rate or duration outside its range.
    """
    count = int(rng.choice(len(SOURCES_ODDS), p=SOURCES_ODDS))
    labels = [CATEGORIES[i] for i in rng.choice(len(CATEGORIES), size=count, replace=False)]
    return mix_scene(labels, rng, rate_hz, duration_s, cast)


def mix_scene(
    labels: list[str], rng: Random, rate_hz: int, duration_s: float = 10.0, cast: SoundCast | None = None
) -> Scene:
    """Mix one performance of each named category over a background; see `make_scene`.

    Raises:
        InvalidError: an unknown category, or a rate or duration outside its range.
    """
    if rate_hz < 8_000 or not 0.0 < duration_s <= 60.0:
        raise InvalidError(f"a scene of {duration_s} s at {rate_hz} Hz: want (0, 60] s from 8000 Hz up")
    if unknown := set(labels) - set(GENERATORS):
        raise InvalidError(f"unknown categories {sorted(unknown)}; known: {', '.join(CATEGORIES)}")
    level_db = rng.uniform(*BACKGROUND_DBFS)
    mixture = _scaled(background(rng, rate_hz, duration_s), level_db)
    for name in labels:
        character = cast.character(name, rng) if cast else int(rng.integers(2**32))
        sound = render_source(name, character, rng, rate_hz, duration_s)
        mixture += _scaled(sound, min(level_db + rng.uniform(*ABOVE_BACKGROUND_DB), -9.0))
    peak = float(np.abs(mixture).max())
    if peak > CEILING:
        mixture *= CEILING / peak
    return Scene(mixture.astype(np.float32), frozenset(labels))


def render_source(category: str, character: int, rng: Random, rate_hz: int, duration_s: float) -> Signal:
    """Return a performance of one character: float64 [samples], of any level.

    Raises:
        InvalidError: an unknown category.
    """
    if category not in GENERATORS:
        raise InvalidError(f"unknown category {category!r}; known: {', '.join(CATEGORIES)}")
    return GENERATORS[category](np.random.default_rng(character), rng, rate_hz, duration_s)


def background(rng: Random, rate_hz: int, duration_s: float) -> Signal:
    """Return traffic-like noise with a random spectral slope and slow swells; float64 [samples]."""
    samples = _samples(rate_hz, duration_s)
    slope, knee_hz = rng.uniform(0.6, 1.3), rng.uniform(60.0, 200.0)
    hum = _noise(rng, samples, rate_hz, lambda f: (1.0 + f / knee_hz) ** -slope)
    return hum * _drift(rng, samples, rate_hz, depth=rng.uniform(0.05, 0.45))


def engine(of: Random, rng: Random, rate_hz: int, duration_s: float) -> Signal:
    """Render a motor that idles or revs: firing harmonics and noise in time with them."""
    samples = _samples(rate_hz, duration_s)
    firing_hz, rough = of.uniform(24.0, 90.0), of.uniform(0.1, 0.5)
    table = _table(of, harmonics=24, rolloff=of.uniform(0.6, 1.3))
    rev = _drift(rng, samples, rate_hz, depth=of.uniform(0.02, 0.25))
    phase = np.cumsum(firing_hz * rev) / rate_hz
    knee_hz = of.uniform(200.0, 900.0)
    exhaust = _noise(rng, samples, rate_hz, lambda f: 1.0 / (1.0 + (f / knee_hz) ** 2))
    pulsing = 0.5 + 0.5 * _read(table, phase)
    return (_read(table, phase) + rough * exhaust * pulsing) * _drift(rng, samples, rate_hz, depth=0.15)


def jackhammer(of: Random, rng: Random, rate_hz: int, duration_s: float) -> Signal:
    """Render a machine that strikes 10 to 26 times a second, in runs of seconds."""
    samples = _samples(rate_hz, duration_s)
    strike_hz, jitter = of.uniform(10.0, 26.0), of.uniform(0.005, 0.03)
    kernel = _ring(of, rate_hz, modes=5, low_hz=250.0, high_hz=3_500.0, decay_s=of.uniform(0.006, 0.02))
    strikes = np.arange(int(duration_s * strike_hz) + 1) / strike_hz
    strikes = strikes + rng.normal(0.0, jitter / strike_hz, strikes.size)
    running = _runs(rng, duration_s, on_s=(1.5, 5.0), off_s=(0.3, 1.5))
    kept = strikes[_inside(strikes, running)]
    struck = _strike(kept, rng.uniform(0.7, 1.0, kept.size), kernel, samples, rate_hz)
    rattle = _noise(rng, samples, rate_hz, lambda f: np.exp(-(((f - 2_500.0) / 1_500.0) ** 2)))
    on = _gate(running, samples, rate_hz, ramp_s=0.03)
    return struck + 0.06 * float(np.abs(struck).max()) * rattle * on


def hammering(of: Random, rng: Random, rate_hz: int, duration_s: float) -> Signal:
    """Render hammering by hand: groups of a few strikes, each ringing separately."""
    samples = _samples(rate_hz, duration_s)
    gap_s = of.uniform(0.28, 0.75)
    kernel = _ring(
        of, rate_hz, modes=6, low_hz=of.uniform(150.0, 900.0), high_hz=5_000.0, decay_s=of.uniform(0.02, 0.12)
    )
    times: list[float] = []
    at = rng.uniform(0.0, 0.2 * duration_s)
    while at < duration_s:
        times += [at + i * gap_s * rng.uniform(0.92, 1.08) for i in range(int(rng.integers(3, 8)))]
        at = times[-1] + rng.uniform(0.8, 2.0)
    strikes = np.asarray(times)
    return _strike(strikes, rng.uniform(0.5, 1.0, strikes.size), kernel, samples, rate_hz)


def saw(of: Random, rng: Random, rate_hz: int, duration_s: float) -> Signal:
    """Render a powered saw: a whine that sags under load, and the hiss of the cut."""
    samples = _samples(rate_hz, duration_s)
    whine_hz, sag = of.uniform(500.0, 1_900.0), of.uniform(0.05, 0.25)
    table = _table(of, harmonics=5, rolloff=of.uniform(0.5, 1.0))
    hiss_hz = of.uniform(2_500.0, 5_500.0)
    running = _gate(_runs(rng, duration_s, on_s=(3.0, 7.0), off_s=(0.5, 1.5)), samples, rate_hz, ramp_s=0.35)
    cutting = _gate(_runs(rng, duration_s, on_s=(0.8, 2.5), off_s=(0.4, 1.5)), samples, rate_hz, ramp_s=0.12)
    speed = (0.3 + 0.7 * running) * (1.0 - sag * cutting) * _drift(rng, samples, rate_hz, depth=0.01)
    whine = _read(table, np.cumsum(whine_hz * speed) / rate_hz)
    hiss = _noise(rng, samples, rate_hz, lambda f: np.exp(-(((f - hiss_hz) / 1_800.0) ** 2)))
    return running * (whine * (0.6 + 0.4 * cutting) + of.uniform(0.3, 0.8) * hiss * cutting)


def alert(of: Random, rng: Random, rate_hz: int, duration_s: float) -> Signal:
    """Render a siren (wail, yelp or two-tone), a car horn, or a reversing beeper, by the character."""
    samples = _samples(rate_hz, duration_s)
    kind = int(of.integers(4))
    time = np.arange(samples) / rate_hz
    table = _table(of, harmonics=6, rolloff=of.uniform(0.8, 1.6))
    if kind == 0:  # wail or yelp
        low_hz, sweep_hz = of.uniform(450.0, 700.0), of.uniform(0.2, 4.0)
        swing = 0.5 - 0.5 * np.cos(2.0 * np.pi * (sweep_hz * time + rng.uniform()))
        return _read(table, np.cumsum(low_hz + of.uniform(500.0, 900.0) * swing) / rate_hz)
    if kind == 1:  # two-tone
        low_hz, ratio, hold_s = of.uniform(400.0, 700.0), of.uniform(1.2, 1.4), of.uniform(0.4, 0.8)
        high = np.floor(time / hold_s + rng.uniform()) % 2
        return _read(table, np.cumsum(low_hz * ratio**high) / rate_hz)
    if kind == 2:  # horn
        low_hz, ratio = of.uniform(300.0, 480.0), of.uniform(1.18, 1.34)
        rich = _table(of, harmonics=16, rolloff=of.uniform(0.3, 0.9))
        honks = _gate(_runs(rng, duration_s, on_s=(0.3, 1.6), off_s=(0.2, 2.5)), samples, rate_hz, ramp_s=0.02)
        return honks * (_read(rich, low_hz * time) + _read(rich, low_hz * ratio * time))
    period_s, tone_hz = of.uniform(0.7, 1.2), of.uniform(900.0, 1_600.0)
    beeps = (np.floor(2.0 * (time / period_s + rng.uniform())) % 2).astype(np.float64)
    return _smooth(beeps, int(0.008 * rate_hz)) * _read(table, tone_hz * time)


def music(of: Random, rng: Random, rate_hz: int, duration_s: float) -> Signal:
    """Render a looped song: chords, a tune on the same scale, bass and a drum beat."""
    samples = _samples(rate_hz, duration_s)
    beat_s, root_hz = 60.0 / of.uniform(80.0, 140.0), 110.0 * 2.0 ** of.uniform(0.0, 1.0)
    lead, pad = _table(of, 10, of.uniform(0.5, 1.5)), _table(of, 6, of.uniform(1.0, 2.0))
    scale = np.asarray([0, 2, 4, 7, 9] if of.random() < 0.5 else [0, 3, 5, 7, 10])
    chords, tune = of.integers(0, 5, 4), of.integers(-1, 10, 16)
    beats = int(duration_s / beat_s) + 1
    start = int(rng.integers(64))
    out = np.zeros(samples)
    kick = _kick(rate_hz)
    for beat in range(beats):
        bar = int(chords[((beat + start) // 4) % 4])
        if beat % 4 == 0:
            for degree in (bar, bar + 2, bar + 4):
                _note(
                    out,
                    pad,
                    0.35,
                    _pitch(root_hz, scale, degree),
                    at_s=beat * beat_s,
                    length_s=4 * beat_s,
                    rate_hz=rate_hz,
                )
        _note(
            out,
            pad,
            0.7,
            0.5 * _pitch(root_hz, scale, bar),
            at_s=beat * beat_s,
            length_s=beat_s,
            rate_hz=rate_hz,
        )
        for half in (0, 1):
            degree = int(tune[(2 * (beat + start) + half) % 16])
            if degree >= 0:
                pitch_hz = 2.0 * _pitch(root_hz, scale, degree)
                _note(
                    out,
                    lead,
                    0.6,
                    pitch_hz,
                    at_s=(beat + half / 2) * beat_s,
                    length_s=beat_s / 2,
                    rate_hz=rate_hz,
                )
    return out + _strike(np.arange(beats, dtype=np.float64) * beat_s, np.full(beats, 1.2), kick, samples, rate_hz)


def voices(of: Random, rng: Random, rate_hz: int, duration_s: float) -> Signal:
    """Render voice-like babble: one to three talkers whose syllables glide through vowel formants."""
    out = np.zeros(_samples(rate_hz, duration_s))
    for _ in range(int(of.integers(1, 4))):
        pitch_hz, pace_s, tract = of.uniform(85.0, 260.0), of.uniform(0.14, 0.24), of.uniform(0.9, 1.15)
        at = rng.uniform(0.0, 0.8)
        while at < duration_s:
            length_s = pace_s * rng.uniform(0.6, 1.5)
            voiced = rng.random() < 0.85
            glide_hz = pitch_hz * rng.uniform(0.88, 1.15)
            if voiced:
                vowel = _VOWELS[int(rng.integers(len(_VOWELS)))] * tract
                table = _vowel_table(vowel, glide_hz)
                _note(out, table, 1.0, glide_hz, at_s=at, length_s=length_s, rate_hz=rate_hz, bend=-0.08)
            else:
                _burst(out, rng, 0.25, at_s=at, length_s=0.5 * length_s, rate_hz=rate_hz)
            at += length_s * (0.9 if rng.random() < 0.85 else 3.0)
    return out


def dog(of: Random, rng: Random, rate_hz: int, duration_s: float) -> Signal:
    """Render barks in groups: a short harmonic arch with a rough edge."""
    out = np.zeros(_samples(rate_hz, duration_s))
    pitch_hz, length_s, gap_s = of.uniform(260.0, 850.0), of.uniform(0.1, 0.24), of.uniform(0.3, 0.6)
    formants = np.asarray([of.uniform(500.0, 1_000.0), of.uniform(1_200.0, 1_900.0), 3_000.0])
    table, rough = _vowel_table(formants, pitch_hz), of.uniform(0.2, 0.5)
    at = rng.uniform(0.0, 0.15 * duration_s)
    while at < duration_s:
        for _ in range(int(rng.integers(1, 5))):
            gain, bend = rng.uniform(0.7, 1.0), -of.uniform(0.2, 0.4)
            pitch = pitch_hz * rng.uniform(0.93, 1.08)
            _note(out, table, gain, pitch, at_s=at, length_s=length_s, rate_hz=rate_hz, bend=bend)
            _burst(out, rng, gain * rough, at_s=at, length_s=0.7 * length_s, rate_hz=rate_hz)
            at += gap_s * rng.uniform(0.85, 1.2)
        at += rng.uniform(0.6, 2.0)
    return out


Generator = Callable[[Random, Random, int, float], Signal]

GENERATORS: Final[Mapping[str, Generator]] = {
    "engine": engine,
    "machinery-impact": jackhammer,
    "non-machinery-impact": hammering,
    "powered-saw": saw,
    "alert-signal": alert,
    "music": music,
    "human-voice": voices,
    "dog": dog,
}
"""Per category, `(character's generator, rng, rate_hz, duration_s) -> float64 [samples]`."""

_VOWELS: Final = np.asarray(
    [[730, 1090, 2440], [270, 2290, 3010], [300, 870, 2240], [530, 1840, 2480], [570, 840, 2410]], np.float64
)
"""First three formants in Hz of five vowels. Source: Peterson and Barney 1952, table II, men."""


def _samples(rate_hz: int, duration_s: float) -> int:
    return max(1, round(rate_hz * duration_s))


def _scaled(sound: Signal, level_dbfs: float) -> Signal:
    """Scale a sound so that its active part (the blocks within 20 dB of the loudest) has this RMS level."""
    block = 2_048
    power = np.square(sound)
    blocks = np.add.reduceat(power, np.arange(0, power.size, block)) / block
    active = blocks[blocks > 0.01 * blocks.max(initial=0.0)]
    rms = float(np.sqrt(active.mean())) if active.size else 0.0
    return sound * (10.0 ** (level_dbfs / 20.0) / rms) if rms > 0.0 else sound


def _noise(rng: Random, samples: int, rate_hz: int, shape: Callable[[Signal], Signal]) -> Signal:
    """Return Gaussian noise with a spectral shape, RMS 1; float64 [samples]."""
    bins = samples // 2 + 1
    spectrum = rng.standard_normal((bins, 2), dtype=np.float32).view(np.complex64)[:, 0]
    gain = shape(np.fft.rfftfreq(samples, 1.0 / rate_hz)[:bins])
    gain[0] = 0.0
    noise = np.asarray(np.fft.irfft(spectrum * gain, samples), dtype=np.float64)
    rms = float(np.sqrt(np.mean(np.square(noise))))
    return noise / rms if rms > 0.0 else noise


def _drift(rng: Random, samples: int, rate_hz: int, depth: float) -> Signal:
    """Return a slow random wander around 1, between about 1 - depth and 1 + depth."""
    knots = max(3, int(samples / rate_hz) + 2)
    return np.interp(np.linspace(0, knots - 1, samples), np.arange(knots), 1 + depth * rng.uniform(-1, 1, knots))


def _table(of: Random, harmonics: int, rolloff: float) -> Signal:
    """Return one period of a tone: harmonics falling as 1 / k**rolloff, with random gains and phases; peak 1."""
    k = np.arange(1, harmonics + 1)
    gains = of.uniform(0.4, 1.0, harmonics) / k**rolloff
    return _period(gains, of.uniform(0.0, 2.0 * np.pi, harmonics))


def _vowel_table(formants_hz: Signal, pitch_hz: float) -> Signal:
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


def _read(table: Signal, phase: Signal) -> Signal:
    """Read a period along a phase counted in periods."""
    return np.asarray(table[(phase * _TABLE).astype(np.int64) & (_TABLE - 1)])


def _ring(of: Random, rate_hz: int, *, modes: int, low_hz: float, high_hz: float, decay_s: float) -> Signal:
    """Return the sound of one blow: damped modes over a click; float64 [about 6 decays]."""
    time = np.arange(max(8, int(6.0 * decay_s * rate_hz))) / rate_hz
    f = of.uniform(low_hz, min(high_hz, 0.45 * rate_hz), (modes, 1))
    decays_s = decay_s * of.uniform(0.4, 1.2, (modes, 1))
    ringing = np.exp(-time / decays_s) * np.sin(2.0 * np.pi * f * time) * of.uniform(0.3, 1.0, (modes, 1))
    click = of.standard_normal(time.size) * np.exp(-time / 0.003)
    return np.asarray(ringing.sum(axis=0) + click, dtype=np.float64)


def _kick(rate_hz: int) -> Signal:
    time = np.arange(int(0.18 * rate_hz)) / rate_hz
    sweep = np.cumsum(50.0 + 90.0 * np.exp(-time / 0.02)) / rate_hz
    return np.asarray(np.sin(2.0 * np.pi * sweep) * np.exp(-time / 0.05), dtype=np.float64)


def _strike(times_s: Signal, gains: Signal, kernel: Signal, samples: int, rate_hz: int) -> Signal:
    out = np.zeros(samples)
    for at, gain in zip((times_s * rate_hz).astype(int), gains, strict=True):
        if 0 <= at < samples:
            room = min(kernel.size, samples - at)
            out[at : at + room] += gain * kernel[:room]
    return out


def _runs(
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


def _inside(times_s: Signal, spells: list[tuple[float, float]]) -> npt.NDArray[np.bool_]:
    inside = np.zeros(times_s.size, dtype=np.bool_)
    for start, end in spells:
        inside |= (times_s >= start) & (times_s < end)
    return inside


def _gate(spells: list[tuple[float, float]], samples: int, rate_hz: int, ramp_s: float) -> Signal:
    """Return 1 inside the spells and 0 outside, with ramps."""
    gate = np.zeros(samples)
    for start, end in spells:
        gate[int(start * rate_hz) : int(end * rate_hz)] = 1.0
    return _smooth(gate, int(ramp_s * rate_hz))


def _smooth(signal: Signal, width: int) -> Signal:
    """Return the moving average over `width` samples."""
    if width < 2:
        return signal
    total = np.cumsum(np.concatenate([np.zeros(width), signal]))
    return np.asarray((total[width:] - total[:-width]) / width)


def _pitch(root_hz: float, scale: npt.NDArray[np.int64], degree: int) -> float:
    octave, step = divmod(degree, scale.size)
    return float(root_hz * 2.0 ** (octave + scale[step] / 12.0))


def _note(
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
    out[begin : begin + length] += gain * envelope * _read(table, phase)


def _burst(out: Signal, rng: Random, gain: float, *, at_s: float, length_s: float, rate_hz: int) -> None:
    """Add one decaying burst of bright noise to `out`."""
    begin = int(at_s * rate_hz)
    length = min(int(length_s * rate_hz), out.size - begin)
    if length < 2:
        return
    puff = np.diff(rng.standard_normal(length + 1))
    out[begin : begin + length] += 0.5 * gain * puff * np.linspace(1.0, 0.0, length)
