from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvggish import mel_features
from torchvggish.torchvggish import VGG, make_layers
from torchvggish.vggish_input import waveform_to_examples

from hub.audio.choose import choose_space, extractor_for
from hub.audio.logmel import LogMel
from hub.audio.mel import mel_bank
from hub.audio.vggish import FrontEnd, Pca, Vggish, VggishNetwork
from hub.audio.weights import convert, import_weights
from shared.errors import Invalid, Unavailable
from shared.space import LOGMEL, VGGISH

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def network() -> VggishNetwork:
    torch.manual_seed(0)
    return VggishNetwork().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def weights_dir(network: VggishNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    pca = {"pca_eigen_vectors": 40 * torch.eye(128), "pca_means": torch.zeros(128, 1)}
    convert(network.state_dict(), pca, folder)
    return folder


def test_the_front_end_gives_the_printed_digits_of_the_official_smoke_test() -> None:
    # Source: terminal log of tensorflow/models vggish_smoke_test.py: 1 kHz sine, 3 s at 16 kHz.
    clip = np.sin(2 * np.pi * 1_000 * np.arange(0, 3, 1 / RATE_HZ)).astype(np.float32)
    patches = FrontEnd().patches(clip).numpy()
    assert patches.shape == (3, 96, 64)
    np.testing.assert_allclose(patches[0, 0, :3], [-4.48313252, -4.27083405, -4.17064267], atol=1e-5)
    # Here the bands hold almost nothing but what is left of rounding the sine to float32.
    np.testing.assert_allclose(patches[0, 0, -3:], [-4.60069383, -4.60098887, -4.60116305], atol=1e-4)


def test_the_front_end_equals_the_reference_on_noise() -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, 10 * RATE_HZ).astype(np.float32)
    reference = waveform_to_examples(noise.astype(np.float64), RATE_HZ)[:, 0].detach().numpy()
    assert reference.shape == (10, 96, 64)
    np.testing.assert_allclose(FrontEnd().patches(noise).numpy(), reference, atol=1e-5)


def test_the_mel_bank_equals_the_reference() -> None:
    reference = mel_features.spectrogram_to_mel_matrix(64, 257, 16_000, 125, 7_500)
    bank = mel_bank(rate_hz=16_000, fft=512, bands=64, low_hz=125.0, high_hz=7_500.0)
    np.testing.assert_allclose(bank, reference, atol=1e-6)


def test_a_clip_too_short_for_a_patch_is_refused() -> None:
    with pytest.raises(Invalid):
        FrontEnd().patches(np.zeros(15_599, np.float32))
    assert len(FrontEnd().patches(np.zeros(15_600, np.float32))) == 1


def test_the_network_equals_the_reference_up_to_its_added_activation(network: VggishNetwork) -> None:
    with torch.device("meta"):
        reference = VGG(make_layers(), postprocess=False).eval()
    reference.load_state_dict(network.state_dict(), assign=True)
    patches = torch.randn(2, 96, 64)
    with torch.inference_mode():
        ours, theirs = network(patches), reference(patches[:, None])
    assert float(ours.min()) < 0.0, "the official embedding layer has no activation"
    torch.testing.assert_close(torch.relu(ours), theirs, atol=1e-5, rtol=0.0)


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
    with pytest.raises(Invalid):
        Pca(vectors[:5], means)
    with pytest.raises(Invalid):
        Pca(vectors * np.nan, means)


def test_imported_weights_turn_a_clip_into_the_space(network: VggishNetwork, weights_dir: Path) -> None:
    extractor = extractor_for(VGGISH.id, weights_dir)
    assert extractor.space is VGGISH
    clip = np.random.default_rng(1).uniform(-1, 1, 10 * RATE_HZ).astype(np.float32)
    features = extractor.extract(clip, RATE_HZ)
    raw = network(FrontEnd().patches(clip)).numpy()
    expected = np.clip(40 * raw, -2, 2) * 63.75 + 127.5
    np.testing.assert_allclose(features.astype(float), np.floor(expected), atol=1)
    assert features.shape == (10, 128)
    assert len(np.unique(features)) > 10


def test_weights_that_are_not_there_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="earwitness-hub import-vggish"):
        Vggish.load(tmp_path)


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "vggish.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "vggish_pca.safetensors")
    with pytest.raises(Invalid, match="do not hold"):
        Vggish.load(tmp_path)
    (tmp_path / "vggish.safetensors").write_text("hello")
    with pytest.raises(Invalid, match="not a safetensors file"):
        Vggish.load(tmp_path)


def test_only_the_published_files_are_imported(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(Invalid, match="SHA-256"):
        import_weights(tmp_path / "other.pth", tmp_path / "other.pth", tmp_path / "into")
    with pytest.raises(Unavailable):
        import_weights(tmp_path / "nothing.pth", tmp_path / "nothing.pth", tmp_path / "into")
    with pytest.raises(Invalid, match="tensors"):
        convert({"a": torch.zeros(1)}, {}, tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_sound_becomes_vggish_if_its_weights_are_there_and_log_mel_if_not(tmp_path: Path, weights_dir: Path) -> None:
    assert choose_space(weights_dir).space is VGGISH
    without = choose_space(tmp_path)
    assert without.space is LOGMEL
    assert "import-vggish" in without.reason
    assert isinstance(extractor_for(LOGMEL.id, tmp_path), LogMel)
    with pytest.raises(Invalid):
        extractor_for("unknown/1", tmp_path)
