"""Bringing VGGish's weights here: downloaded or from files, verified, converted; nothing is done twice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hub.features.vggish.convert import published_metadata, read_published, sha256, write_network, write_pca
from hub.features.vggish.download import RetryPolicy, Tick, download
from hub.features.vggish.extractor import NETWORK_FILE, PCA_FILE
from hub.features.vggish.published import PublishedFile, PublishedRelease
from shared.errors import InvalidError, UnavailableError


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch did.

    Attributes:
        written: converted files, new.
        present: converted files that were there already.
    """

    written: tuple[Path, ...]
    present: tuple[Path, ...]


def fetch_vggish(
    release: PublishedRelease,
    into: Path,
    *,
    offered: Sequence[Path] = (),
    patience: RetryPolicy,
    ticks: Callable[[PublishedFile], Tick],
) -> Fetched:
    """Put VGGish's weights where the hub looks for them.

    A file that was converted before is left alone; a published file that is complete in `into` is not
    downloaded again. What was downloaded is removed once it is converted; files that were offered stay.

    Args:
        release: what is published, and where.
        into: directory for the result; created if missing.
        offered: the published files, or directories that hold them; if there are any, nothing is downloaded.
        patience: when a download gives up.
        ticks: what to tell about one file's download.

    Raises:
        Invalid: a file is not the published one.
        Unavailable: a file cannot be read, downloaded or written; says what to do.
    """
    written: list[Path] = []
    present: list[Path] = []
    parts = ((release.network, NETWORK_FILE, write_network), (release.pca, PCA_FILE, write_pca))
    for file, name, write in parts:
        if published_metadata(into / name).startswith(file.sha256_head):
            present.append(into / name)
            continue
        if offered:
            source, digest = _among(offered, file)
        else:
            source, digest = _downloaded(release, file, into, patience, ticks(file))
        written.append(write(read_published(source), into, digest))
        if not offered:
            source.unlink()
    return Fetched(tuple(written), tuple(present))


def _among(offered: Sequence[Path], file: PublishedFile) -> tuple[Path, str]:
    """The offered file that is the published one, and its SHA-256; a file may have another name."""
    candidates = [path / file.name if path.is_dir() else path for path in offered]
    digests = {path: sha256(path) for path in candidates}
    for path, digest in digests.items():
        if digest.startswith(file.sha256_head):
            return path, digest
    found = ", ".join(f"{path} ({digest[:8]})" for path, digest in digests.items())
    raise InvalidError(
        f"no file given has the SHA-256 of {file.name}, which begins {file.sha256_head}; given: {found}"
    )


def _downloaded(
    release: PublishedRelease, file: PublishedFile, into: Path, patience: RetryPolicy, tick: Tick
) -> tuple[Path, str]:
    """The published file in `into`, and its SHA-256; downloaded if it is not there."""
    target, part = into / file.name, into / f"{file.name}.part"
    if target.exists() and (digest := sha256(target)).startswith(file.sha256_head):
        return target, digest
    url = f"{release.url}/{file.name}"
    try:
        into.mkdir(parents=True, exist_ok=True)
        download(url, part, max_bytes=file.max_bytes, patience=patience, tick=tick)
    except OSError as error:
        raise UnavailableError(f"cannot write to {into}: {error.strerror}") from error
    except UnavailableError as error:
        raise UnavailableError(
            f"{error}. Run the same command again: it goes on where it stopped. Where the internet is out of"
            f" reach, bring {url} by other means and give it with --from, or name a mirror with --url"
        ) from error
    digest = sha256(part)
    if not digest.startswith(file.sha256_head):
        part.unlink()
        raise InvalidError(
            f"{url} is not the published file: its SHA-256 begins {digest[:8]}, not {file.sha256_head}. It was"
            " removed and not installed; run the same command again, or name another mirror with --url"
        )
    part.replace(target)
    return target, digest
