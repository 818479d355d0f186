"""The metrics as text: in the format that is asked for, with the old names of what was renamed."""

from collections.abc import Iterable, Sequence
from copy import copy

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from hub.metrics.definitions import RENAMED, Renamed
from shared.content_negotiation import preferred


class WithOldNames(Collector):
    """The metrics of a registry, those that were renamed also under their old names.

    Args:
        registry: what there is.
        renamed: which of it had another name.
    """

    def __init__(self, registry: CollectorRegistry, renamed: Sequence[Renamed] = RENAMED) -> None:
        self._registry = registry
        self._old = {one.new: one for one in renamed}

    def collect(self) -> Iterable[Metric]:
        """All metrics."""
        for family in self._registry.collect():
            yield family
            if (one := self._old.get(family.name)) is not None:
                yield _under(one, family)


def _under(one: Renamed, family: Metric) -> Metric:
    again = copy(family)
    again.name = one.old
    again.documentation = f"Old name of {one.new}, gone with version {one.until}"
    again.samples = [
        sample._replace(name=one.old + sample.name.removeprefix(family.name)) for sample in family.samples
    ]
    return again


def expose(registry: CollectorRegistry, accept: str | None) -> tuple[bytes, str]:
    """The metrics, and their content type.

    Args:
        registry: what there is.
        accept: header `Accept` of the request: who prefers OpenMetrics is told exemplars too.
    """
    encode, content_type = choose_encoder(preferred(accept or ""))
    return encode(WithOldNames(registry)), content_type
