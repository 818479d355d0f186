import copy
import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvggish import mel_features
from torchvggish.torchvggish import VGG, make_layers
from torchvggish.vggish_input import waveform_to_examples

from hub.features.mel import mel_bank
from hub.features.vggish.convert import write_network, write_pca
from hub.features.vggish.extractor import FrontEnd, Pca, Vggish, VggishNetwork
from shared.audio import Waveform, decode_flac, encode_flac
from shared.errors import InvalidError, UnavailableError
from shared.extractor import resample_clip
from shared.feature_space import VGGISH
from shared.synthetic_scene import make_scene

RATE_HZ = 16_000
PUBLISHED = np.load(Path(__file__).parents[3] / "data" / "vggish_smoke_test.npz")
"""Output of the official smoke test of VGGish for a 1 kHz sine, and rows of its PCA parameters to five digits.

Source: terminal log of tensorflow/models `vggish_smoke_test.py`, with the published weights and PCA.
`log_mel_first`, `log_mel_last`: three bands of the first frame, as printed. `raw`: the first embedding before PCA,
float32 [128]; `bytes`: after PCA and quantisation, uint8 [128]; `projected`: in between, in double precision.
`pca_means`, `pca_row_0`, `pca_row_8`: the means, the first and the ninth component.
"""


@pytest.fixture(scope="module")
def network() -> VggishNetwork:
    """Random weights with which signals pass at full strength and embeddings spread like the official ones."""
    torch.manual_seed(0)
    made = VggishNetwork().eval().requires_grad_(False)
    for layer in made.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
    last = made.embeddings[-1]
    assert isinstance(last, nn.Linear)
    last.weight *= 0.34 / float(made(FrontEnd().patches(street(0))).std())
    return made


@pytest.fixture(scope="module")
def reference(network: VggishNetwork) -> VGG:
    with torch.device("meta"):
        theirs = VGG(make_layers(), postprocess=False).eval()
    theirs.load_state_dict(network.state_dict(), assign=True)
    return theirs


@pytest.fixture(scope="module")
def weights_dir(network: VggishNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    write_network(network.state_dict(), folder, "")
    write_pca({"pca_eigen_vectors": 3 * torch.eye(128), "pca_means": torch.zeros(128, 1)}, folder, "")
    return folder


def noise(seed: int, rate_hz: int = RATE_HZ) -> Waveform:
    return np.random.default_rng(seed).uniform(-1, 1, 10 * rate_hz).astype(np.float32)


def street(seed: int) -> Waveform:
    """The synthetic street as it reaches the hub: 16-bit FLAC, here at VGGish's rate."""
    made = make_scene(np.random.default_rng(seed), RATE_HZ).waveform
    return decode_flac(encode_flac(made, RATE_HZ))[0]


def test_the_front_end_gives_every_printed_digit_of_the_official_smoke_test() -> None:
    first = FrontEnd().log_mel(np.sin(2 * np.pi * 1_000 * np.arange(0, 3, 1 / RATE_HZ)))[0].tolist()
    assert " ".join(f"{value:.8f}" for value in first[:3]) == str(PUBLISHED["log_mel_first"])
    assert " ".join(f"{value:.8f}" for value in first[-3:]) == str(PUBLISHED["log_mel_last"])


def test_three_seconds_are_three_patches() -> None:
    assert FrontEnd().patches(noise(0)[: 3 * RATE_HZ]).shape == (3, 96, 64)


@pytest.mark.parametrize(
    "clip",
    [
        noise(1),
        noise(2) * np.float32(1e-4),
        street(1),
        street(2),
        np.cumsum(noise(3)) * np.float32(0.01),
        np.eye(1, 10 * RATE_HZ, 70_000, dtype=np.float32)[0],
        np.zeros(10 * RATE_HZ, np.float32),
    ],
    ids=["white", "faint", "street", "another street", "brown", "click", "silence"],
)
def test_the_front_end_equals_the_reference(clip: Waveform) -> None:
    theirs = waveform_to_examples(clip.astype(np.float64), RATE_HZ, return_tensor=False)
    ours = FrontEnd().log_mel(clip)[:960].reshape(10, 96, 64).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-10)
    np.testing.assert_allclose(FrontEnd().patches(clip).numpy(), theirs, atol=1e-6)


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_resampled_sound_equals_the_references_where_both_resamplers_pass_it(rate_hz: int) -> None:
    # The reference's resampler (resampy) fades out from 7 kHz and pads the ends otherwise than soxr: the last
    # four bands and the first and last patch do not compare.
    clip = noise(4, rate_hz)
    theirs = waveform_to_examples(clip.astype(np.float64), rate_hz, return_tensor=False)
    ours = FrontEnd().patches(resample_clip(clip, rate_hz, RATE_HZ)).numpy()
    np.testing.assert_allclose(ours[1:-1, :, :60], theirs[1:-1, :, :60], atol=1e-3)


def test_the_mel_bank_equals_the_reference() -> None:
    reference = mel_features.spectrogram_to_mel_matrix(64, 257, 16_000, 125, 7_500)
    bank = mel_bank(rate_hz=16_000, fft=512, bands=64, low_hz=125.0, high_hz=7_500.0)
    np.testing.assert_allclose(bank, reference, atol=1e-12)


def test_a_clip_too_short_for_a_patch_is_refused() -> None:
    with pytest.raises(InvalidError):
        FrontEnd().patches(np.zeros(15_599, np.float32))
    assert len(FrontEnd().patches(np.zeros(15_600, np.float32))) == 1


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_network_equals_the_reference_up_to_its_added_activation(
    network: VggishNetwork, reference: VGG, layout: torch.memory_format
) -> None:
    ours_in_layout = copy.deepcopy(network).to(memory_format=layout)
    patches = FrontEnd().patches(street(3))
    with torch.inference_mode():
        ours, theirs = ours_in_layout(patches), reference(patches[:, None])
    assert float(ours.min()) < -0.1, "the official embedding layer has no activation"
    torch.testing.assert_close(torch.relu(ours), theirs, atol=1e-5, rtol=0.0)


def test_the_published_raw_embedding_gives_all_128_published_bytes() -> None:
    projected = PUBLISHED["projected"][None]
    assert Pca(np.eye(128), np.zeros(128)).quantised(projected)[0].tolist() == PUBLISHED["bytes"].tolist()


def test_published_components_project_the_published_raw_embedding_to_the_published_bytes() -> None:
    vectors = np.zeros((128, 128))
    vectors[0], vectors[8] = PUBLISHED["pca_row_0"], PUBLISHED["pca_row_8"]
    raw = PUBLISHED["raw"][None]
    found = Pca(vectors, PUBLISHED["pca_means"]).quantised(raw)[0]
    assert (found[0], found[8]) == tuple(PUBLISHED["bytes"][[0, 8]])


@pytest.mark.skipif("EARWITNESS_VGGISH_PCA" not in os.environ, reason="names the published vggish_pca_params.npz")
def test_the_published_parameters_give_all_128_published_bytes() -> None:
    with np.load(os.environ["EARWITNESS_VGGISH_PCA"]) as file:
        pca = Pca(file["pca_eigen_vectors"], file["pca_means"])
    found = pca.quantised(PUBLISHED["raw"][None])
    assert found[0].tolist() == PUBLISHED["bytes"].tolist()


@pytest.mark.skipif("EARWITNESS_VGGISH_WEIGHTS" not in os.environ, reason="names what fetch-vggish wrote to")
def test_the_published_weights_give_the_published_bytes() -> None:
    sine = np.sin(2 * np.pi * 1_000 * np.arange(0, 10, 1 / RATE_HZ)).astype(np.float32)
    extractor = Vggish.load(Path(os.environ["EARWITNESS_VGGISH_WEIGHTS"]), torch.float32)
    found = extractor.extract(sine, RATE_HZ)[0].astype(int)
    np.testing.assert_allclose(found, PUBLISHED["bytes"], atol=1)
    assert (found == PUBLISHED["bytes"]).sum() >= 120


def test_quantisation_clips_scales_and_cuts_the_fraction() -> None:
    pca = Pca(np.eye(128), np.full(128, 0.5))
    raw = np.full((1, 128), 0.5, dtype=np.float32)
    raw[0, :5] += np.array([-3.0, -2.0, 0.01, 1.999, 2.5], dtype=np.float32)
    # (x + 2) * 63.75: 128.1375 and 254.94 lose their fraction, 0 is 127.5.
    assert pca.quantised(raw)[0, :6].tolist() == [0, 0, 128, 254, 255, 127]


def test_the_projection_takes_the_mean_off_and_multiplies_by_rows() -> None:
    vectors = np.zeros((128, 128))
    vectors[0, 1] = 1.0
    means = np.zeros(128)
    means[1] = 0.25
    raw = np.zeros((1, 128), dtype=np.float32)
    raw[0, 1] = 1.25
    assert Pca(vectors, means).quantised(raw)[0, :2].tolist() == [191, 127]
    with pytest.raises(InvalidError):
        Pca(vectors[:5], means)
    with pytest.raises(InvalidError):
        Pca(vectors * np.nan, means)


def test_installed_weights_turn_a_clip_into_the_references_bytes(reference: VGG, weights_dir: Path) -> None:
    extractor = Vggish.load(weights_dir, torch.float32)
    assert extractor.space is VGGISH
    features = extractor.extract(street(4), RATE_HZ)
    patches = waveform_to_examples(street(4).astype(np.float64), RATE_HZ)
    with torch.inference_mode():
        maps = reference.features(patches).permute(0, 2, 3, 1).flatten(1)
        raw = reference.embeddings[:-1](maps).double().numpy()
    expected = np.floor(np.clip(3 * raw, -2, 2) * 63.75 + 127.5)
    assert features.shape == (10, 128)
    assert len(np.unique(features)) > 100
    np.testing.assert_allclose(features, expected, atol=1)
    assert (features == expected).mean() > 0.99


CLIPS = [(noise(seed, rate_hz), rate_hz) for seed, rate_hz in enumerate([16_000, 22_050, 48_000] * 3)]


@pytest.fixture(scope="module")
def singles(weights_dir: Path) -> npt.NDArray[np.uint8]:
    """Features of each of `CLIPS` alone, [9, 10, 128]."""
    extractor = Vggish.load(weights_dir, torch.float32)
    return np.array([extractor.extract(*clip) for clip in CLIPS])


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5, 9])
def test_a_batch_gives_the_bytes_of_single_clips(
    weights_dir: Path, singles: npt.NDArray[np.uint8], count: int
) -> None:
    batch = Vggish.load(weights_dir, torch.float32).extract_many(CLIPS[:count])
    assert batch.shape == (count, 10, 128)
    assert batch.dtype == np.uint8
    # With several threads a sum may be split otherwise, which can move a value across the edge of a byte.
    np.testing.assert_allclose(batch.astype(int), singles[:count], atol=1)
    assert count == 0 or (batch == singles[:count]).mean() > 0.999


def test_a_batch_with_a_clip_that_is_none_is_refused(weights_dir: Path) -> None:
    with pytest.raises(InvalidError):
        Vggish.load(weights_dir).extract_many([(noise(0), RATE_HZ), (np.empty(0, np.float32), RATE_HZ)])


def test_bfloat16_moves_bytes_a_few_steps(weights_dir: Path) -> None:
    exact = Vggish.load(weights_dir, torch.float32).extract(street(5), RATE_HZ).astype(int)
    short = Vggish.load(weights_dir, torch.bfloat16).extract(street(5), RATE_HZ).astype(int)
    assert 0 < np.abs(exact - short).mean() < 4
    assert np.abs(exact - short).max() < 40


def test_weights_that_are_not_there_state_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="earwitness-hub weights fetch vggish"):
        Vggish.load(tmp_path)


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "vggish.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "vggish_pca.safetensors")
    with pytest.raises(InvalidError, match="do not hold"):
        Vggish.load(tmp_path)
    (tmp_path / "vggish.safetensors").write_text("hello")
    with pytest.raises(InvalidError, match="not a safetensors file"):
        Vggish.load(tmp_path)
