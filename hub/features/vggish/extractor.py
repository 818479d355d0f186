"""VGGish: the official front end, the network in torch, PCA and 8-bit quantisation.

1. 16 kHz; periodic Hann window of 25 ms, hop 10 ms; magnitude of a 512-point FFT.
2. 64 HTK-mel bands from 125 to 7,500 Hz; log(x + 0.01); patches of 96 frames without overlap.
3. The VGG network gives 128 values a patch; its last layer has no activation.
4. PCA (with whitening), clipped to [-2, 2], scaled to 0..255 and cut off (not rounded) to a byte.

Source: AudioSet release of VGGish (tensorflow/models, `vggish_input.py`, `vggish_slim.py`,
`vggish_postprocess.py`); the paper, section 5.1.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, cast

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hub.features.mel import mel_bank
from hub.runtime.precision import best_dtype, cpu_capabilities
from shared.audio import Waveform
from shared.errors import InvalidError, UnavailableError
from shared.extractor import Sound, resample_clip
from shared.feature_space import VGGISH, Features, FeatureSpace, Floats

RATE_HZ: Final = 16_000
WINDOW: Final = 400
HOP: Final = 160
FFT: Final = 512
BANDS: Final = 64
PATCH: Final = 96
LOG_OFFSET: Final = 0.01
WIDTH: Final = 128

NETWORK_FILE: Final = "vggish.safetensors"
PCA_FILE: Final = "vggish_pca.safetensors"
INSTALL_HINT: Final = (
    "run `earwitness-hub weights fetch vggish`, which downloads them once (288 MB), or pass files with --from"
)

CLIPS_AT_ONCE: Final = 4
"""Clips per batch of the network: 105 MB of activations; larger batches are no faster on a CPU."""

_BLOCKS: Final = ((64,), (128,), (256, 256), (512, 512))


class FrontEnd:
    """Converts a waveform to log-mel patches.

    Args:
        offset: added to the mel magnitudes before the logarithm.
    """

    def __init__(self, offset: float = LOG_OFFSET) -> None:
        self._offset = offset
        self.window = torch.hann_window(WINDOW, periodic=True, dtype=torch.float64)
        bank = mel_bank(rate_hz=RATE_HZ, fft=FFT, bands=BANDS, low_hz=125.0, high_hz=7_500.0)
        self.bank = torch.from_numpy(bank)

    def log_mel(self, clip: Waveform | npt.NDArray[np.float64]) -> Tensor:
        """Compute the log-mel spectrogram in double precision, as the official release does.

        Args:
            clip: float32 or float64 [samples] at 16 kHz, full scale = 1.0; at least one window (400).

        Returns:
            float64 [1 + (samples - 400) // 160, 64], natural logarithms, not below log(offset).
        """
        with torch.inference_mode():
            frames = torch.from_numpy(clip).double().unfold(0, WINDOW, HOP)
            magnitude = torch.fft.rfft(frames * self.window, FFT).abs()
            return torch.log(magnitude @ self.bank + self._offset)

    def patches(self, clip: Waveform) -> Tensor:
        """Return the log-mel spectrogram in patches, the input of the network; drop an incomplete last patch.

        Args:
            clip: float32 [samples] at 16 kHz, full scale = 1.0.

        Returns:
            float32 [patches, 96, 64], natural logarithms; 10 patches for 10 s.

        Raises:
            InvalidError: the clip is too short for one patch (0.975 s).
        """
        if clip.size < WINDOW + (PATCH - 1) * HOP:
            raise InvalidError(f"{clip.size} samples at 16 kHz are too short for one patch of VGGish")
        log_mel = self.log_mel(clip).float()
        count = len(log_mel) // PATCH
        return log_mel[: count * PATCH].reshape(count, PATCH, BANDS)


class VggishNetwork(nn.Module):
    """The VGG network; its state dict has the names of torchvggish's `vggish-10086976.pth`."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 1
        for block in _BLOCKS:
            for out in block:
                layers += [nn.Conv2d(channels, out, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
                channels = out
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
        self.features = nn.Sequential(*layers)
        self.embeddings = nn.Sequential(
            nn.Linear(512 * 4 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, WIDTH),
        )

    def forward(self, patches: Tensor) -> Tensor:
        """Compute raw embeddings, before PCA.

        Args:
            patches: float32 [n, 96, 64] log-mel (or the dtype of the weights).

        Returns:
            The same dtype [n, 128], unbounded: the official layer has no activation (torchvggish adds a ReLU).
        """
        maps = self.features(patches.unsqueeze(1))  # [n, 512, 6, 4]
        return cast("Tensor", self.embeddings(maps.permute(0, 2, 3, 1).flatten(1)))


class Pca:
    """The official projection and 8-bit quantisation.

    Args:
        vectors: floating [128, 128], one component a row, whitening included.
        means: floating [128].

    Raises:
        InvalidError: the shape is wrong, or values are not finite.
    """

    def __init__(self, vectors: npt.NDArray[np.floating], means: npt.NDArray[np.floating]) -> None:
        if vectors.shape != (WIDTH, WIDTH) or means.size != WIDTH:
            raise InvalidError(f"PCA needs {WIDTH} x {WIDTH} vectors and {WIDTH} means")
        self.vectors = vectors.astype(np.float64)
        self.means = means.astype(np.float64).ravel()
        if not (np.isfinite(self.vectors).all() and np.isfinite(self.means).all()):
            raise InvalidError("PCA parameters must be finite")

    def quantised(self, raw: npt.NDArray[np.floating]) -> Features:
        """Project and quantise.

        Args:
            raw: floating [n, 128] from the network.

        Returns:
            uint8 [n, 128]; `VGGISH.dequantise` inverts the quantisation.

        Source: `vggish_postprocess.py`: `((clipped + 2) * 255 / 4).astype(uint8)`, which cuts the fraction.
        """
        projected = (raw.astype(np.float64) - self.means) @ self.vectors.T
        scaled = (np.clip(projected, VGGISH.low, VGGISH.high) - VGGISH.low) * (255.0 / (VGGISH.high - VGGISH.low))
        return scaled.astype(np.uint8)


class Vggish:
    """Extractor of `vggish-pca-u8/1`; see `shared.extractor.Extractor`.

    Args:
        network: network with its weights; the extractor takes ownership and converts it to `dtype`.
        pca: the matching projection.
        dtype: dtype of the network: float32 (exact) or bfloat16. The rest is double precision.
    """

    def __init__(self, network: VggishNetwork, pca: Pca, dtype: torch.dtype = torch.float32) -> None:
        self._front_end = FrontEnd()
        # Channels last makes the network a fifth faster on a CPU.
        converted = network.to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network: VggishNetwork = converted.eval().requires_grad_(False)
        self.pca = pca
        self._dtype = dtype

    @property
    def space(self) -> FeatureSpace:
        """Return `VGGISH`."""
        return VGGISH

    @classmethod
    def load(cls, weights_dir: Path, dtype: torch.dtype | None = None) -> "Vggish":
        """Read the weights that `weights fetch vggish` installed.

        Args:
            weights_dir: directory with `vggish.safetensors` and `vggish_pca.safetensors`.
            dtype: dtype of the network; None: the best for this processor.

        Raises:
            UnavailableError: a file is missing or cannot be opened; the message explains how to get it.
            InvalidError: a file does not contain VGGish's weights.
        """
        tensors = _read(weights_dir / NETWORK_FILE)
        parameters = _read(weights_dir / PCA_FILE)
        with torch.device("meta"):
            network = VggishNetwork()
        try:
            network.load_state_dict(tensors, assign=True)
            pca = Pca(parameters["pca_eigen_vectors"].numpy(), parameters["pca_means"].numpy())
        except (RuntimeError, KeyError) as error:
            raise InvalidError(f"the files in {weights_dir} do not hold VGGish's weights: {error}") from error
        return cls(network, pca, dtype or best_dtype(cpu_capabilities()))

    def extract(self, waveform: Waveform, rate_hz: int) -> Features:
        """Compute the features of one clip: uint8 [10, 128]; arguments and errors as in the interface."""
        return VGGISH.check(self.extract_many([(waveform, rate_hz)])[0])

    def extract_many(self, clips: Sequence[Sound]) -> Features:
        """Compute the features of several clips: uint8 [n, 10, 128], in batches of `CLIPS_AT_ONCE`."""
        blocks = [self._raw(clips[at : at + CLIPS_AT_ONCE]) for at in range(0, len(clips), CLIPS_AT_ONCE)]
        raw = np.concatenate([np.empty((0, WIDTH), np.float32), *blocks])
        return self.pca.quantised(raw).reshape(len(clips), *VGGISH.shape)

    def _raw(self, clips: Sequence[Sound]) -> Floats:
        patches = torch.cat([self._front_end.patches(resample_clip(*clip, RATE_HZ)) for clip in clips])
        with torch.inference_mode():
            raw: Floats = self.network(patches.to(self._dtype)).float().numpy()
        return raw


def _read(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb"):
            pass
        return load_file(path)
    except OSError as error:
        raise UnavailableError(f"VGGish's weights are not at {path} ({error.strerror}): {INSTALL_HINT}") from error
    except SafetensorError as error:
        raise InvalidError(f"{path} is not a safetensors file: {error}") from error
