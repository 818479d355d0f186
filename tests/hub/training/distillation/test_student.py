"""The student, and the file it becomes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from hub.features.vggish.extractor import BANDS, FFT, HOP, PATCH, RATE_HZ, FrontEnd
from hub.training.distillation.onnx_export import export, scales
from hub.training.distillation.spectrogram_bank import OFFSET
from hub.training.distillation.student import CENTRE, LAYERS, SPREAD, WIDTH, Student
from shared.backbones.onnx_backbone import Backbone
from shared.extractor import resample_clip
from shared.feature_space import EARWITNESS_SMALL
from shared.synthetic_scene import make_scene


@pytest.fixture(scope="module")
def student() -> Student:
    """Untrained, but with batch normalisation that has seen something."""
    torch.manual_seed(0)
    made = Student()
    with torch.no_grad():
        for _ in range(20):
            made(2.0 * torch.randn(16, PATCH, BANDS) - 3.0)
        for layer in made.maps:
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.add_(0.3 * torch.randn_like(layer.weight))
                layer.bias.add_(0.3 * torch.randn_like(layer.bias))
    return made.requires_grad_(False).eval()


def test_a_patch_becomes_128_values_and_log_odds_of_the_teachers_classes(student: Student) -> None:
    embedding, odds = student(torch.randn(5, PATCH, BANDS))
    assert embedding.shape == (5, WIDTH)
    assert odds.shape == (5, 521)


def test_folded_layers_give_what_batch_normalisation_gives(student: Student) -> None:
    patches = 2.0 * torch.randn(4, PATCH, BANDS) - 3.0
    maps = ((patches - CENTRE) / SPREAD).unsqueeze(1)
    for (weight, bias), (_, kernel, stride) in zip(student.folded(), LAYERS, strict=True):
        maps = torch.relu(functional.conv2d(maps, weight, bias, stride, kernel // 2))
    torch.testing.assert_close(maps, student.maps(((patches - CENTRE) / SPREAD).unsqueeze(1)), atol=1e-4, rtol=1e-4)


def test_a_second_of_sound_costs_at_most_60_million_multiplications(student: Student) -> None:
    counted: list[int] = []

    def count(layer: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(layer, nn.Conv2d):
            counted.append(output.numel() * layer.weight[0].numel())
        if isinstance(layer, nn.Linear):
            counted.append(layer.weight.numel())

    handles = [layer.register_forward_hook(count) for layer in (*student.maps, student.embedding)]
    student.embed(torch.zeros(1, PATCH, BANDS))
    for handle in handles:
        handle.remove()
    assert len(counted) == len(LAYERS) + 1
    spectra = PATCH * (int(FFT * np.log2(FFT)) + (FFT // 2 + 1) * BANDS)
    a_second = (sum(counted) + spectra) * RATE_HZ / (PATCH * HOP)
    assert 30e6 < a_second <= 60e6


def test_weights_at_half_precision_fit_in_three_megabytes(student: Student) -> None:
    assert 2 * sum(p.numel() for p in (*student.maps.parameters(), *student.embedding.parameters())) < 3e6


def test_the_exported_file_gives_the_bytes_of_the_network_in_torch(student: Student, tmp_path: Path) -> None:
    sounds = [make_scene(np.random.default_rng(seed), 22_050).waveform for seed in range(12)]
    patches = [FrontEnd(OFFSET).patches(resample_clip(sound, 22_050, RATE_HZ)) for sound in sounds]
    embeddings = [student.embed(patch).numpy() for patch in patches]
    factors = scales(np.concatenate(embeddings))
    backbone = Backbone(export(student, factors, tmp_path))
    assert backbone.space == EARWITNESS_SMALL
    found = np.stack([backbone.extract(sound, 22_050) for sound in sounds])
    expected = np.stack([EARWITNESS_SMALL.quantise(values * factors) for values in embeddings])
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.95, "weights are rounded to float16 in the file"


def test_scales_bring_every_value_into_the_range() -> None:
    rng = np.random.default_rng(0)
    values = (rng.standard_normal((5_000, WIDTH)) * np.geomspace(0.2, 3.0, WIDTH)).astype(np.float32)
    scaled = values * scales(values)
    assert 0.98 < (np.abs(scaled) <= EARWITNESS_SMALL.high).mean() < 1.0
    deviations = scaled.std(axis=0)
    assert (np.diff(deviations) > -0.02).all(), "strong values stay stronger"


def test_the_folded_network_embeds_as_the_network_itself(student: Student) -> None:
    patches = 2.0 * torch.randn(6, PATCH, BANDS) - 3.0
    maps = ((patches - CENTRE) / SPREAD).unsqueeze(1)
    for (weight, bias), (_, kernel, stride) in zip(student.folded(), LAYERS, strict=True):
        maps = torch.relu(functional.conv2d(maps, weight, bias, stride, kernel // 2))
    torch.testing.assert_close(student.embedding(maps.mean(dim=(2, 3))), student.embed(patches), atol=1e-4, rtol=1e-4)


def test_a_patch_is_embedded_alike_alone_and_among_others(student: Student) -> None:
    patches = 2.0 * torch.randn(4, PATCH, BANDS) - 3.0
    alone = torch.cat([student.embed(patch[None]) for patch in patches])
    torch.testing.assert_close(alone, student.embed(patches), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(student(patches)[0], student.embed(patches))


def test_folding_leaves_the_network_as_it_was(student: Student) -> None:
    before = {name: value.clone() for name, value in student.state_dict().items()}
    folded = student.folded()
    assert [tuple(weight.shape[::2]) for weight, _ in folded] == [(out, kernel) for out, kernel, _ in LAYERS]
    assert not any(tensor.requires_grad for pair in folded for tensor in pair)
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())
