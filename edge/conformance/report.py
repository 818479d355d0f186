"""Measure the level meter against the limits of the standards and print the result as a Markdown page."""

import math
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np

from edge.conformance.limits import (
    CREST_FACTORS,
    CREST_HZ,
    CREST_PERIOD_S,
    EFFECTIVE_BANDWIDTH,
    FAST_BURSTS,
    LINEARITY,
    PEAKS,
    SLOW_BURSTS,
    WEIGHTING,
    Burst,
    Tolerance,
    band_limits,
)
from shared.audio import Waveform
from shared.events import Levels
from shared.levels.bands import EXACT_HZ, HALF_BAND, NOMINAL_HZ, band_stages, half_rate_db
from shared.levels.block_filter import Floats, response_db
from shared.levels.detectors import FAST_S, SLOW_S
from shared.levels.meter import measure
from shared.levels.values import LevelDetails
from shared.levels.weighting import a_weighting_db, c_weighting_db, weighting_sections

RATES_HZ: Final = (44_100, 48_000)
COMMAND: Final = "earwitness-edge conformance"
_BURST_HZ: Final = 4_000.0
_QUIET_S: Final = 0.5
_CREST_S: Final = 10.0
_ANY: Final = Tolerance(-math.inf, math.inf)


def page() -> str:
    """Return the page, which ends with a newline."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Conformance of the level meter\n"
    yield f"`{COMMAND}` measures the level meter and prints this page; do not edit it. Every figure is"
    yield "a deviation from the standard in dB, at sample rates of 44.1 kHz and 48 kHz. A figure in **bold** is"
    yield "outside the class 1 limits.\n"
    yield "The page covers what the software does. It does not cover the microphone, the windscreen and the housing"
    yield "(frequency and directional response), the amplifier and the converter (self-noise, analogue linearity,"
    yield "overload), temperature, humidity, static pressure, vibration, radio fields and the power supply. These"
    yield "need a test of the sensor in a laboratory (IEC 61672-2).\n"
    yield "[conformance-oracles.md](conformance-oracles.md) compares the meter with independent implementations.\n"
    yield from _weightings()
    yield from _bursts()
    yield from _linearity()
    yield from _peaks()
    yield from _crest_factors()
    yield from _bands()


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def _figure(deviation_db: float, limits: Tolerance) -> str:
    text = f"{round(deviation_db, 2) + 0.0:+.2f}"
    return text if limits.holds(deviation_db) else f"**{text}**"


def _words(limits: Tolerance) -> str:
    if limits.lowest == -limits.highest:
        return f"±{limits.highest:.1f}"
    lowest = "no limit" if math.isinf(limits.lowest) else f"{limits.lowest:+.1f}"
    return f"{lowest} to {limits.highest:+.1f}"


def _weightings() -> Iterator[str]:
    yield "## Frequency weightings\n"
    yield "Gain relative to 1 kHz, at the exact frequencies, minus the design goal (IEC 61672-1:2013, 5.5, annex E)."
    yield "Z is the unfiltered signal: its deviation is 0.\n"
    exact_hz = np.array([1_000.0 * 10.0 ** (round(10.0 * math.log10(one / 1_000.0)) / 10.0) for one in WEIGHTING])
    columns = [
        response_db(sections, exact_hz, rate_hz) - goal(exact_hz)
        for number, goal in enumerate((a_weighting_db, c_weighting_db))
        for rate_hz in RATES_HZ
        for sections in (weighting_sections(rate_hz)[number],)
    ]
    rows = [
        (f"{nominal:g}", *(_figure(column[i], first) for column in columns), _words(first), _words(second))
        for i, (nominal, (first, second)) in enumerate(WEIGHTING.items())
    ]
    yield from _table(("Hz", "A, 44.1 kHz", "A, 48 kHz", "C, 44.1 kHz", "C, 48 kHz", "class 1", "class 2"), rows)


def _tone(rate_hz: int, frequency_hz: float, duration_s: float, amplitude: float = 0.5) -> Waveform:
    times = np.arange(round(duration_s * rate_hz)) / rate_hz
    return (amplitude * np.sin(2.0 * np.pi * frequency_hz * times)).astype(np.float32)


def _within(rate_hz: int, burst: Waveform, before_s: float, after_s: float) -> Waveform:
    before, after = (np.zeros(round(seconds * rate_hz), dtype=np.float32) for seconds in (before_s, after_s))
    return np.concatenate([before, burst, after])


def _details(levels: Levels) -> LevelDetails:
    assert levels.details is not None  # noqa: S101 - the meter measures them
    return levels.details


def _bursts() -> Iterator[str]:
    yield "## Tone bursts\n"
    yield "Level of a burst of 4 kHz minus that of the steady tone, minus the reference (IEC 61672-1:2013, 5.9).\n"
    measured = {rate_hz: _measured_bursts(rate_hz) for rate_hz in RATES_HZ}
    for column, (name, bursts) in enumerate((("LAFmax", FAST_BURSTS), ("LAE", FAST_BURSTS), ("LASmax", SLOW_BURSTS))):
        rows = [
            (
                f"{1e3 * burst.duration_s:g}",
                *(_figure(measured[rate_hz][burst.duration_s][column], burst.class_1) for rate_hz in RATES_HZ),
                _words(burst.class_1),
                _words(burst.class_2),
            )
            for burst in bursts
        ]
        yield from _table((f"{name}, ms", "44.1 kHz", "48 kHz", "class 1", "class 2"), rows)


def _measured_bursts(rate_hz: int) -> dict[float, tuple[float, float, float]]:
    """Return the deviations of LAFmax, LAE and LASmax by burst length in seconds."""
    steady_db = measure(_tone(rate_hz, _BURST_HZ, 20.0), rate_hz).laeq
    return {burst.duration_s: _measured_burst(rate_hz, burst, steady_db) for burst in FAST_BURSTS}


def _measured_burst(rate_hz: int, burst: Burst, steady_db: float) -> tuple[float, float, float]:
    tone = _tone(rate_hz, _BURST_HZ, burst.duration_s)
    levels = measure(_within(rate_hz, tone, _QUIET_S, _QUIET_S), rate_hz)
    fast, slow = (-10.0 * math.log10(-math.expm1(-burst.duration_s / tau_s)) for tau_s in (FAST_S, SLOW_S))
    details = _details(levels)
    exposure = -10.0 * math.log10(burst.duration_s)
    return (
        levels.lafmax - steady_db + fast,
        details.lae - steady_db + exposure,
        details.lasmax - steady_db + slow,
    )


def _linearity() -> Iterator[str]:
    yield "## Level linearity\n"
    yield "LAeq of tones that are rounded to 16 bits, minus the level of the tone, relative to -20 dBFS (IEC"
    yield "61672-1:2013, 5.6). The rounding limits the range below: A lowers the level of 31.5 Hz by 39.4 dB, so a"
    yield "tone of -60 dBFS has LAeq -99 dBFS, less than the noise of the rounding. The meter reports `under_range`"
    yield "for a Fast level below -90 dBFS. Samples without rounding have no such limit.\n"
    tones = [(frequency_hz, rate_hz) for frequency_hz in (31.5, 1_000.0, 8_000.0) for rate_hz in RATES_HZ]
    reference = {tone: _rounded_level(*tone, -20.0) for tone in tones}
    rows = []
    for level_db in (0.0, -10.0, -20.0, -30.0, -40.0, -50.0, -60.0, -70.0, -80.0):
        deviations = [_rounded_level(*tone, level_db) - reference[tone] - (level_db + 20.0) for tone in tones]
        figures = [_figure(one, LINEARITY[0]) for one in deviations]
        rows.append((f"{level_db:.0f}", *figures, *(_words(limits) for limits in LINEARITY)))
    heads = [f"{frequency_hz:g} Hz, {rate_hz / 1e3:g} kHz" for frequency_hz, rate_hz in tones]
    yield from _table(("dBFS", *heads, "class 1", "class 2"), rows)


def _rounded_level(frequency_hz: float, rate_hz: int, level_db: float) -> float:
    tone = _tone(rate_hz, frequency_hz, 2.0, 10.0 ** (level_db / 20.0))
    rounded = np.clip(np.round(tone * 32_768.0), -32_768, 32_767) / 32_768.0
    return measure(rounded.astype(np.float32), rate_hz).laeq


def _peaks() -> Iterator[str]:
    yield "## C-weighted peak\n"
    yield "LCpeak of single cycles minus LC of the steady tone, minus the reference (IEC 61672-1:2013, 5.13), for the"
    yield "lowest of eight positions of the signal between two samples.\n"
    rows = []
    for name, frequency_hz, reference_db, *limits in PEAKS:
        worst = [_worst_peak(rate_hz, name, frequency_hz) - reference_db for rate_hz in RATES_HZ]
        rows.append(
            (f"{name}, {frequency_hz:g} Hz", *(_figure(one, limits[0]) for one in worst), *map(_words, limits))
        )
    yield from _table(("signal", "44.1 kHz", "48 kHz", "class 1", "class 2"), rows)


def _worst_peak(rate_hz: int, name: str, frequency_hz: float) -> float:
    """Return the lowest LCpeak minus the steady LC in dB over positions between samples."""
    steady_db = _details(measure(_tone(rate_hz, frequency_hz, 4.0), rate_hz)).lceq
    cycles, sign = (1.0, 1.0) if name == "one cycle" else (0.5, -1.0 if name.startswith("negative") else 1.0)
    found = []
    for shift in np.arange(8) / 8.0:
        phase = frequency_hz * (np.arange(rate_hz // 4) - rate_hz // 8 + shift) / rate_hz
        signal = np.where((phase >= 0.0) & (phase < cycles), sign * 0.5 * np.sin(2.0 * np.pi * phase), 0.0)
        found.append(_details(measure(signal.astype(np.float32), rate_hz)).lcpeak - steady_db)
    return min(found)


def _crest_factors() -> Iterator[str]:
    yield "## Crest factors\n"
    yield "Level of bursts of 2 kHz, 40 a second, minus the level of the steady tone of the same power, A-weighted:"
    yield "LAeq and LASmax. IEC 61672-1 has no limits of crest factors; it limits level linearity, tone bursts and"
    yield "peaks instead. IEC 60651 (withdrawn) had such limits in 9.4.2. We do not have its text: the limits are"
    yield "those published in a procedure for BS 7580 (crest factor 3) and a certificate of a type 2 meter (3 and 5)."
    yield "Without a published limit there is `-`. Short bursts have frequencies other than 2 kHz, whose gains in A"
    yield "are other: for this reason alone, a burst of one cycle has an LAeq that is 0.45 dB lower.\n"
    rows = []
    for one in CREST_FACTORS:
        found = {rate_hz: _crest_deviations(rate_hz, one.cycles) for rate_hz in RATES_HZ}
        figures = [_figure(found[rate_hz][at], one.type_1 or _ANY) for at in (0, 1) for rate_hz in RATES_HZ]
        limits = ["-" if limit is None else _words(limit) for limit in (one.type_1, one.type_2)]
        rows.append((f"{one.factor} ({one.cycles} of 50 cycles)", *figures, *limits))
    heads = [f"{name}, {rate_hz / 1e3:g} kHz" for name in ("LAeq", "LASmax") for rate_hz in RATES_HZ]
    yield from _table(("crest factor", *heads, "type 1", "type 2"), rows)


def _crest_deviations(rate_hz: int, cycles: int) -> tuple[float, float]:
    """Return the deviations of LAeq and LASmax in dB from those of a steady tone of the same power."""
    share = cycles / (CREST_HZ * CREST_PERIOD_S)
    length = round(_CREST_S * rate_hz)
    within_s = np.arange(length) / rate_hz % CREST_PERIOD_S
    tone = _tone(rate_hz, CREST_HZ, _CREST_S)
    bursts = np.where(within_s * CREST_HZ < cycles, tone, np.float32(0.0))
    steady, found = measure(tone * np.float32(math.sqrt(share)), rate_hz), measure(bursts, rate_hz)
    return found.laeq - steady.laeq, _details(found).lasmax - _details(steady).lasmax


def _bands() -> Iterator[str]:
    yield "## Third-octave bands\n"
    yield "The smallest distance of the relative attenuation from the limits in dB, inside and outside the pass band,"
    yield "and the effective bandwidth deviation (IEC 61260-1:2014, 5.10 and 5.12). A negative distance is outside"
    yield "the limits. At 44.1 kHz the band of 20 kHz is not measured: its upper edge is above half of the rate.\n"
    first, second = EFFECTIVE_BANDWIDTH
    yield f"Limits of the effective bandwidth deviation: class 1 {_words(first)}, class 2 {_words(second)}.\n"
    columns = {rate_hz: _band_figures(rate_hz) for rate_hz in RATES_HZ}
    rows = [
        (f"{nominal:g}", *(text for rate_hz in RATES_HZ for text in columns[rate_hz].get(nominal, ("-",) * 4)))
        for nominal in NOMINAL_HZ
    ]
    names = ("pass, class 1", "stop, class 1", "stop, class 2", "bandwidth")
    yield from _table(("Hz", *(f"{rate_hz / 1e3:g} kHz: {name}" for rate_hz in RATES_HZ for name in names)), rows)


def _band_figures(rate_hz: int) -> dict[float, tuple[str, ...]]:
    """Return by nominal frequency: distance in the pass band, stop band (class 1, class 2), bandwidth deviation."""
    stages = [(number, rate, filters) for number, (rate, filters) in enumerate(band_stages(rate_hz))]
    ordered = [(number, rate, one) for number, rate, filters in reversed(stages) for one in filters]
    figures = {}
    for nominal, centre_hz, (number, rate, sections) in zip(NOMINAL_HZ, EXACT_HZ, ordered, strict=False):
        ratios = np.exp(np.linspace(math.log(20.0 / EXACT_HZ[-1] / 2.0), math.log(2_000.0), 20_001))
        ratios = np.concatenate([ratios, np.geomspace(0.8, 1.25, 4_001)])
        ratios = ratios[(ratios * centre_hz < rate_hz / 2.0) & (ratios * centre_hz > 1.0)]
        centre_db = _gain_db(number, rate, sections, np.array([centre_hz]))[0]
        attenuation = centre_db - _gain_db(number, rate, sections, ratios * centre_hz)
        inside = np.maximum(ratios, 1.0 / ratios) < HALF_BAND
        lowest, highest = band_limits(ratios, 1)
        passed = np.minimum(attenuation - lowest, highest - attenuation)[inside].min()
        stopped = (attenuation - lowest)[~inside].min()
        loose = (attenuation - band_limits(ratios, 2)[0])[~inside].min()
        width_db = _bandwidth_deviation(number, rate, sections, centre_hz, centre_db)
        figures[nominal] = (
            *(_figure(value, Tolerance(0.0, math.inf)) for value in (passed, stopped, loose)),
            _figure(width_db, EFFECTIVE_BANDWIDTH[0]),
        )
    return figures


def _gain_db(stage: int, rate_hz: float, sections: Floats, frequencies_hz: Floats) -> Floats:
    """Return the gain of a band with the half-band filters before it; what they fold back counts as passed."""
    halves = sum((half_rate_db(frequencies_hz, rate_hz * 2**before) for before in range(1, stage + 1)), np.zeros(1))
    return np.asarray(response_db(sections, frequencies_hz, rate_hz) + halves)


def _bandwidth_deviation(stage: int, rate_hz: float, sections: Floats, centre_hz: float, centre_db: float) -> float:
    top_hz = min(centre_hz * 4.0, rate_hz / 2.0)
    frequencies_hz = np.geomspace(centre_hz / 4.0, top_hz, 20_001)
    power = 10.0 ** ((_gain_db(stage, rate_hz, sections, frequencies_hz) - centre_db) / 10.0)
    width = float(np.trapezoid(power, np.log(frequencies_hz)))
    return 10.0 * math.log10(width / (2.0 * math.log(HALF_BAND)))
