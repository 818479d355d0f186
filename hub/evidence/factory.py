"""Build the writer of evidence reports from settings, for the page and the command."""

import hashlib

from hub.evidence.archive import chunks
from hub.evidence.reader import Retained
from hub.evidence.report import EvidenceReports, EvidenceRules
from hub.evidence.signing import SigningKey
from hub.model.checkpoint import default_checkpoint
from hub.settings import HubSettings
from hub.store.events import EventStore
from hub.store.verdicts import VerdictStore
from shared.errors import UnavailableError
from shared.feature_space import SHORT_NAMES
from shared.paths import expanded, printable


def open_signing_key(settings: HubSettings) -> SigningKey:
    """Return the key that signs reports; create it if it does not exist.

    Raises:
        InvalidError: no usable key.
        UnavailableError: the file cannot be read or written.
    """
    return SigningKey.open(expanded(settings.evidence.signing_key))


def build_evidence(settings: HubSettings, archive: EventStore, verdicts: VerdictStore) -> EvidenceReports:
    """Return the writer of evidence reports.

    Raises:
        InvalidError: no usable signing key.
        UnavailableError: the key or a checkpoint cannot be read.
    """
    kept = settings.store
    rules = EvidenceRules(
        hub=settings.hub.name,
        audio_dir=kept.audio_dir,
        max_clip_bytes=settings.evidence.max_clip_bytes,
        retained=Retained(kept.retention_days, kept.level_statistics_days),
        networks=_networks(settings),
    )
    return EvidenceReports(archive, verdicts, rules, open_signing_key(settings))


def _networks(settings: HubSettings) -> dict[str, str]:
    """Return the SHA-256 of each checkpoint: those of the settings by name, the shipped ones by feature space."""
    files = {printable(path): expanded(path) for path in settings.model.checkpoints}
    files |= {f"{space} (shipped)": default_checkpoint(space) for space in SHORT_NAMES.values()}
    found = {}
    for name, path in files.items():
        digest = hashlib.sha256()
        try:
            for part in chunks(path):
                digest.update(part)
        except OSError as error:
            raise UnavailableError(f"cannot read {printable(path)}: {error.strerror}") from error
        found[name] = digest.hexdigest()
    return found
