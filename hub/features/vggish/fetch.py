"""Installation of VGGish's weights: download or copy, verify, convert. A repeated run skips completed steps."""

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
    """Result of a fetch.

    Attributes:
        written: converted files that the fetch wrote.
        present: converted files that existed before.
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
    """Install VGGish's weights into the folder from which the hub loads them.

    The function skips a file that is already converted, and downloads no published file that is complete in `into`.
    It removes downloads after conversion, and keeps offered files.

    Args:
        release: the published files and their address.
        into: directory for the result; created if missing.
        offered: the published files, or directories that contain them; if not empty, nothing is downloaded.
        patience: retry policy of a download.
        ticks: returns the progress callback of one file's download.

    Raises:
        InvalidError: a file is not the published one.
        UnavailableError: a file cannot be read, downloaded or written; the message names the next step.
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
    """Return the offered file that is the published one, under any name, and its SHA-256."""
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
    """Return the published file in `into` and its SHA-256; download it if it is missing."""
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
            f"{error}. Run the same command again: it continues where it stopped. Without internet access,"
            f" copy {url} by other means and pass it with --from, or name a mirror with --url"
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
