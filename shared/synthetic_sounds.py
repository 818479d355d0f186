"""Synthetic sounds of the eight categories, and a street's background."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from shared.synthetic_waveforms import (
    VOWELS,
    Random,
    Signal,
    active_spells,
    add_burst,
    add_note,
    is_inside,
    kick_drum,
    moving_average,
    read_period,
    ringing_blow,
    sample_count,
    scale_pitch,
    shaped_noise,
    slow_drift,
    spell_gate,
    strike_at,
    tone_period,
    vowel_period,
)


def background(rng: Random, rate_hz: int, duration_s: float) -> Signal:
    """Return traffic-like noise with a random spectral slope and slow swells; float64 [samples]."""
    samples = sample_count(rate_hz, duration_s)
    slope, knee_hz = rng.uniform(0.6, 1.3), rng.uniform(60.0, 200.0)
    hum = shaped_noise(rng, samples, rate_hz, lambda f: (1.0 + f / knee_hz) ** -slope)
    return hum * slow_drift(rng, samples, rate_hz, depth=rng.uniform(0.05, 0.45))


def engine(of: Random, rng: Random, rate_hz: int, duration_s: float) -> Signal:
    """Render a motor that idles or revs: firing harmonics and noise in time with them."""
    samples = sample_count(rate_hz, duration_s)
    firing_hz, rough = of.uniform(24.0, 90.0), of.uniform(0.1, 0.5)
    table = tone_period(of, harmonics=24, rolloff=of.uniform(0.6, 1.3))
    rev = slow_drift(rng, samples, rate_hz, depth=of.uniform(0.02, 0.25))
    phase = np.cumsum(firing_hz * rev) / rate_hz
    knee_hz = of.uniform(200.0, 900.0)
    exhaust = shaped_noise(rng, samples, rate_hz, lambda f: 1.0 / (1.0 + (f / knee_hz) ** 2))
    pulsing = 0.5 + 0.5 * read_period(table, phase)
    return (read_period(table, phase) + rough * exhaust * pulsing) * slow_drift(rng, samples, rate_hz, depth=0.15)


def jackhammer(of: Random, rng: Random, rate_hz: int, duration_s: float) -> Signal:
    """Render a machine that strikes 10 to 26 times a second, in runs of seconds."""
    samples = sample_count(rate_hz, duration_s)
    strike_hz, jitter = of.uniform(10.0, 26.0), of.uniform(0.005, 0.03)
    kernel = ringing_blow(of, rate_hz, modes=5, low_hz=250.0, high_hz=3_500.0, decay_s=of.uniform(0.006, 0.02))
    strikes = np.arange(int(duration_s * strike_hz) + 1) / strike_hz
    strikes = strikes + rng.normal(0.0, jitter / strike_hz, strikes.size)
    running = active_spells(rng, duration_s, on_s=(1.5, 5.0), off_s=(0.3, 1.5))
    kept = strikes[is_inside(strikes, running)]
    struck = strike_at(kept, rng.uniform(0.7, 1.0, kept.size), kernel, samples, rate_hz)
    rattle = shaped_noise(rng, samples, rate_hz, lambda f: np.exp(-(((f - 2_500.0) / 1_500.0) ** 2)))
    on = spell_gate(running, samples, rate_hz, ramp_s=0.03)
    return struck + 0.06 * float(np.abs(struck).max()) * rattle * on


def hammering(of: Random, rng: Random, rate_hz: int, duration_s: float) -> Signal:
    """Render hammering by hand: groups of a few strikes, each ringing separately."""
    samples = sample_count(rate_hz, duration_s)
    gap_s = of.uniform(0.28, 0.75)
    kernel = ringing_blow(
        of, rate_hz, modes=6, low_hz=of.uniform(150.0, 900.0), high_hz=5_000.0, decay_s=of.uniform(0.02, 0.12)
    )
    times: list[float] = []
    at = rng.uniform(0.0, 0.2 * duration_s)
    while at < duration_s:
        times += [at + i * gap_s * rng.uniform(0.92, 1.08) for i in range(int(rng.integers(3, 8)))]
        at = times[-1] + rng.uniform(0.8, 2.0)
    strikes = np.asarray(times)
    return strike_at(strikes, rng.uniform(0.5, 1.0, strikes.size), kernel, samples, rate_hz)


def saw(of: Random, rng: Random, rate_hz: int, duration_s: float) -> Signal:
    """Render a powered saw: a whine that sags under load, and the hiss of the cut."""
    samples = sample_count(rate_hz, duration_s)
    whine_hz, sag = of.uniform(500.0, 1_900.0), of.uniform(0.05, 0.25)
    table = tone_period(of, harmonics=5, rolloff=of.uniform(0.5, 1.0))
    hiss_hz = of.uniform(2_500.0, 5_500.0)
    running = spell_gate(
        active_spells(rng, duration_s, on_s=(3.0, 7.0), off_s=(0.5, 1.5)), samples, rate_hz, ramp_s=0.35
    )
    cutting = spell_gate(
        active_spells(rng, duration_s, on_s=(0.8, 2.5), off_s=(0.4, 1.5)), samples, rate_hz, ramp_s=0.12
    )
    speed = (0.3 + 0.7 * running) * (1.0 - sag * cutting) * slow_drift(rng, samples, rate_hz, depth=0.01)
    whine = read_period(table, np.cumsum(whine_hz * speed) / rate_hz)
    hiss = shaped_noise(rng, samples, rate_hz, lambda f: np.exp(-(((f - hiss_hz) / 1_800.0) ** 2)))
    return running * (whine * (0.6 + 0.4 * cutting) + of.uniform(0.3, 0.8) * hiss * cutting)


def alert(of: Random, rng: Random, rate_hz: int, duration_s: float) -> Signal:
    """Render a siren (wail, yelp or two-tone), a car horn, or a reversing beeper, by the character."""
    samples = sample_count(rate_hz, duration_s)
    kind = int(of.integers(4))
    time = np.arange(samples) / rate_hz
    table = tone_period(of, harmonics=6, rolloff=of.uniform(0.8, 1.6))
    if kind == 0:  # wail or yelp
        low_hz, sweep_hz = of.uniform(450.0, 700.0), of.uniform(0.2, 4.0)
        swing = 0.5 - 0.5 * np.cos(2.0 * np.pi * (sweep_hz * time + rng.uniform()))
        return read_period(table, np.cumsum(low_hz + of.uniform(500.0, 900.0) * swing) / rate_hz)
    if kind == 1:  # two-tone
        low_hz, ratio, hold_s = of.uniform(400.0, 700.0), of.uniform(1.2, 1.4), of.uniform(0.4, 0.8)
        high = np.floor(time / hold_s + rng.uniform()) % 2
        return read_period(table, np.cumsum(low_hz * ratio**high) / rate_hz)
    if kind == 2:  # horn
        low_hz, ratio = of.uniform(300.0, 480.0), of.uniform(1.18, 1.34)
        rich = tone_period(of, harmonics=16, rolloff=of.uniform(0.3, 0.9))
        honks = spell_gate(
            active_spells(rng, duration_s, on_s=(0.3, 1.6), off_s=(0.2, 2.5)), samples, rate_hz, ramp_s=0.02
        )
        return honks * (read_period(rich, low_hz * time) + read_period(rich, low_hz * ratio * time))
    period_s, tone_hz = of.uniform(0.7, 1.2), of.uniform(900.0, 1_600.0)
    beeps = (np.floor(2.0 * (time / period_s + rng.uniform())) % 2).astype(np.float64)
    return moving_average(beeps, int(0.008 * rate_hz)) * read_period(table, tone_hz * time)


def music(of: Random, rng: Random, rate_hz: int, duration_s: float) -> Signal:
    """Render a looped song: chords, a tune on the same scale, bass and a drum beat."""
    samples = sample_count(rate_hz, duration_s)
    beat_s, root_hz = 60.0 / of.uniform(80.0, 140.0), 110.0 * 2.0 ** of.uniform(0.0, 1.0)
    lead, pad = tone_period(of, 10, of.uniform(0.5, 1.5)), tone_period(of, 6, of.uniform(1.0, 2.0))
    scale = np.asarray([0, 2, 4, 7, 9] if of.random() < 0.5 else [0, 3, 5, 7, 10])
    chords, tune = of.integers(0, 5, 4), of.integers(-1, 10, 16)
    beats = int(duration_s / beat_s) + 1
    start = int(rng.integers(64))
    out = np.zeros(samples)
    kick = kick_drum(rate_hz)
    for beat in range(beats):
        bar = int(chords[((beat + start) // 4) % 4])
        if beat % 4 == 0:
            for degree in (bar, bar + 2, bar + 4):
                add_note(
                    out,
                    pad,
                    0.35,
                    scale_pitch(root_hz, scale, degree),
                    at_s=beat * beat_s,
                    length_s=4 * beat_s,
                    rate_hz=rate_hz,
                )
        add_note(
            out,
            pad,
            0.7,
            0.5 * scale_pitch(root_hz, scale, bar),
            at_s=beat * beat_s,
            length_s=beat_s,
            rate_hz=rate_hz,
        )
        for half in (0, 1):
            degree = int(tune[(2 * (beat + start) + half) % 16])
            if degree >= 0:
                pitch_hz = 2.0 * scale_pitch(root_hz, scale, degree)
                add_note(
                    out,
                    lead,
                    0.6,
                    pitch_hz,
                    at_s=(beat + half / 2) * beat_s,
                    length_s=beat_s / 2,
                    rate_hz=rate_hz,
                )
    return out + strike_at(np.arange(beats, dtype=np.float64) * beat_s, np.full(beats, 1.2), kick, samples, rate_hz)


def voices(of: Random, rng: Random, rate_hz: int, duration_s: float) -> Signal:
    """Render voice-like babble: one to three talkers whose syllables glide through vowel formants."""
    out = np.zeros(sample_count(rate_hz, duration_s))
    for _ in range(int(of.integers(1, 4))):
        pitch_hz, pace_s, tract = of.uniform(85.0, 260.0), of.uniform(0.14, 0.24), of.uniform(0.9, 1.15)
        at = rng.uniform(0.0, 0.8)
        while at < duration_s:
            length_s = pace_s * rng.uniform(0.6, 1.5)
            voiced = rng.random() < 0.85
            glide_hz = pitch_hz * rng.uniform(0.88, 1.15)
            if voiced:
                vowel = VOWELS[int(rng.integers(len(VOWELS)))] * tract
                table = vowel_period(vowel, glide_hz)
                add_note(out, table, 1.0, glide_hz, at_s=at, length_s=length_s, rate_hz=rate_hz, bend=-0.08)
            else:
                add_burst(out, rng, 0.25, at_s=at, length_s=0.5 * length_s, rate_hz=rate_hz)
            at += length_s * (0.9 if rng.random() < 0.85 else 3.0)
    return out


def dog(of: Random, rng: Random, rate_hz: int, duration_s: float) -> Signal:
    """Render barks in groups: a short harmonic arch with a rough edge."""
    out = np.zeros(sample_count(rate_hz, duration_s))
    pitch_hz, length_s, gap_s = of.uniform(260.0, 850.0), of.uniform(0.1, 0.24), of.uniform(0.3, 0.6)
    formants = np.asarray([of.uniform(500.0, 1_000.0), of.uniform(1_200.0, 1_900.0), 3_000.0])
    table, rough = vowel_period(formants, pitch_hz), of.uniform(0.2, 0.5)
    at = rng.uniform(0.0, 0.15 * duration_s)
    while at < duration_s:
        for _ in range(int(rng.integers(1, 5))):
            gain, bend = rng.uniform(0.7, 1.0), -of.uniform(0.2, 0.4)
            pitch = pitch_hz * rng.uniform(0.93, 1.08)
            add_note(out, table, gain, pitch, at_s=at, length_s=length_s, rate_hz=rate_hz, bend=bend)
            add_burst(out, rng, gain * rough, at_s=at, length_s=0.7 * length_s, rate_hz=rate_hz)
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
