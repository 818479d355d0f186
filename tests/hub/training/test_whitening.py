"""Whitening within pairs: what differs between views of one source no longer counts."""

import pytest
import torch

from hub.training.whitening import whitening

ALL = torch.ones(400, dtype=torch.bool)


def views(n: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """Sources differ in values 0 and 1; views of one source differ in the others, and much more."""
    generator = torch.Generator().manual_seed(0)
    own = torch.zeros(n, 8)
    own[:, :2] = torch.randn(n, 2, generator=generator)
    noise = torch.randn(2, n, 8, generator=generator) * torch.tensor([0.1, 0.1, *[2.0] * 6])
    return own + noise[0] + 3.0, own + noise[1] + 3.0


def test_directions_in_which_sources_differ_are_kept() -> None:
    centre, projection = whitening(*views(), ALL, 2, 0.1)
    assert centre.shape == (8,)
    assert projection.shape == (2, 8)
    assert projection[:, :2].abs().max() > 3 * projection[:, 2:].abs().max()
    first, second = (nn_unit((one - centre) @ projection.t()) for one in views())
    found = (first @ second.t()).argmax(dim=1)
    plain = (nn_unit(views()[0] - 3.0) @ nn_unit(views()[1] - 3.0).t()).argmax(dim=1)
    own = torch.arange(len(found))
    assert (found == own).float().mean() > 3 * (plain == own).float().mean()


def nn_unit(values: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.normalize(values, dim=1)


@pytest.mark.parametrize("n", [2, 3])
def test_few_views_and_views_that_never_differ_give_something_finite(n: int) -> None:
    for first, second in (views(), (torch.ones(n, 8), torch.ones(n, 8))):
        for tensor in whitening(first[:n], second[:n], ALL[:n], 8, 0.5):
            assert torch.isfinite(tensor).all()


def test_the_centre_is_that_of_the_domain() -> None:
    first, second = views()
    domain = torch.arange(400) < 100
    first[~domain] += 50.0
    second[~domain] += 50.0
    centre, projection = whitening(first, second, domain, 2, 0.1)
    torch.testing.assert_close(centre, ((first + second) / 2)[domain].mean(dim=0))
    apart = whitening(first[domain], second[domain], ALL[:100], 2, 0.1)[1]
    assert abs(torch.linalg.det(projection[:, :2])) > 0.5 * abs(torch.linalg.det(apart[:, :2]))
