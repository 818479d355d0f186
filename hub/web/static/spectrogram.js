// Draw the spectrogram of sound that only this browser has. Scale, axes and colours are those of hub/web/spectrogram.py,
// which draws the sound that the hub has: log-mel power, low tones at the bottom, the loudest is the lightest.

// Twice the hub's numbers: the spectrum has the same bins, and the browser's resampler fades out above those drawn.
const RATE_HZ = 44_100;
const WINDOW = 2_048;
const HOP = 882;
const BINS = 513; // to 11,025 Hz
const BANDS = 96;
const LOWEST_HZ = 50;
const FLOOR = 1e-10;
const SHOWN_DB = 70;
const LEAST_DB = 25;
const OVER_MEDIAN = 1.25;
const STOPS = [
  [0.00, [14, 22, 27]], [0.30, [21, 62, 75]], [0.55, [31, 122, 124]],
  [0.75, [143, 178, 120]], [0.90, [238, 203, 121]], [1.00, [255, 244, 214]],
];

// Return the sample rate of a FLAC file in Hz. Source: RFC 9639, 8.2.
const rateOf = (flac) => flac[18] << 12 | flac[19] << 4 | flac[20] >> 4;

const mel = (hertz) => 1127 * Math.log1p(hertz / 700);

// Return the first bin and the weights of each mel band. Source: HTK book, 5.4.
const melBank = (lowHz, highHz) => {
  const step = (mel(highHz) - mel(lowHz)) / (BANDS + 1);
  return Array.from({ length: BANDS }, (_, band) => {
    const centre = mel(lowHz) + (band + 1) * step;
    const weights = Float32Array.from({ length: BINS }, (__, bin) => {
      const distance = Math.abs(mel(bin * RATE_HZ / WINDOW) - centre);
      return bin ? Math.max(0, 1 - distance / step) : 0;
    });
    const first = weights.findIndex((weight) => weight > 0);
    return [first, weights.slice(first, weights.findLastIndex((weight) => weight > 0) + 1)];
  });
};

// Transform in place: radix 2, decimation in time.
const fft = (real, imaginary) => {
  for (let i = 1, j = 0; i < WINDOW; i += 1) {
    let bit = WINDOW >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) {
      [real[i], real[j]] = [real[j], real[i]];
      [imaginary[i], imaginary[j]] = [imaginary[j], imaginary[i]];
    }
  }
  for (let half = 1; half < WINDOW; half *= 2) {
    for (let k = 0; k < half; k += 1) {
      const cos = Math.cos(Math.PI * k / half);
      const sin = -Math.sin(Math.PI * k / half);
      for (let a = k; a < WINDOW; a += 2 * half) {
        const b = a + half;
        const re = real[b] * cos - imaginary[b] * sin;
        const im = real[b] * sin + imaginary[b] * cos;
        real[b] = real[a] - re;
        imaginary[b] = imaginary[a] - im;
        real[a] += re;
        imaginary[a] += im;
      }
    }
  }
};

// Return log-mel power in dB, column by column, the lowest band first.
const decibels = (samples, rateHz) => {
  const topHz = Math.min(rateHz, RATE_HZ / 2) / 2;
  const bank = melBank(Math.min(LOWEST_HZ, topHz / 2), topHz);
  const window = Float32Array.from({ length: WINDOW }, (_, i) => 0.5 - 0.5 * Math.cos(2 * Math.PI * i / WINDOW));
  const columns = 1 + Math.floor((samples.length + 8) / HOP); // resamplers return a few samples more or less
  const levels = new Float32Array(columns * BANDS);
  for (let column = 0; column < columns; column += 1) {
    const start = column * HOP - WINDOW / 2;
    const real = Float64Array.from(window, (weight, i) => weight * (samples[start + i] ?? 0));
    const imaginary = new Float64Array(WINDOW);
    fft(real, imaginary);
    bank.forEach(([first, weights], band) => {
      const sum = weights.reduce((total, weight, i) => {
        const bin = first + i;
        return total + weight * (real[bin] * real[bin] + imaginary[bin] * imaginary[bin]);
      }, 0);
      levels[column * BANDS + band] = 10 * Math.log10(sum / 4 + FLOOR); // twice the samples: four times the power
    });
  }
  return levels;
};

const median = (values) => {
  const sorted = values.slice().sort();
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
};

const colour = (value) => {
  const next = STOPS.findIndex(([at], index) => index > 0 && value <= at);
  const [[low, from], [high, to]] = [STOPS[next - 1], STOPS[next]];
  return from.map((channel, i) => channel + (to[i] - channel) * (value - low) / (high - low));
};

// Draw the sound of a FLAC file on a canvas of any size.
export const drawSpectrogram = async (canvas, flac) => {
  const sound = await new OfflineAudioContext(1, 1, RATE_HZ).decodeAudioData(flac.slice().buffer); // resamples it
  const levels = decibels(sound.getChannelData(0), rateOf(flac));
  const top = levels.reduce((most, level) => Math.max(most, level), -Infinity);
  const room = Math.min(SHOWN_DB, Math.max(LEAST_DB, OVER_MEDIAN * (top - median(levels))));
  const cells = new OffscreenCanvas(levels.length / BANDS, BANDS);
  const picture = new ImageData(cells.width, BANDS);
  levels.forEach((level, i) => {
    const at = (BANDS - 1 - i % BANDS) * cells.width + Math.floor(i / BANDS);
    picture.data.set([...colour(Math.max(0, (level - top) / room + 1)), 255], 4 * at);
  });
  cells.getContext("2d").putImageData(picture, 0, 0);
  canvas.getContext("2d").drawImage(cells, 0, 0, canvas.width, canvas.height);
};
