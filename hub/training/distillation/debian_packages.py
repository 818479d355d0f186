"""Debian packages that carry free recordings: speech, music, animals, engines, tools, alerts, rooms.

They are downloaded with apt and unpacked, never installed. Every package is free software by Debian's guidelines;
the licence of each file is in its package's `usr/share/doc/*/copyright`.
"""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from shared.errors import UnavailableError

RELEASE: Final = "bookworm"
PACKAGES: Final = tuple(Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").split())
"""About 6 GB to download, 11 GB unpacked."""


def fetch_packages(into: Path, tick: Callable[[str], None] = lambda _name: None) -> Path:
    """Download and unpack the packages; what is unpacked already is left alone.

    Args:
        into: directory that gets one directory per package.
        tick: called with the name of each unpacked package.

    Returns:
        The directory.

    Raises:
        UnavailableError: no apt here, a package cannot be had from it, or the directory cannot be written.
    """
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if apt is None or dpkg is None:
        raise UnavailableError(
            f"the recordings come in packages of Debian {RELEASE}: apt-get and dpkg-deb are needed"
        )
    into = into.resolve()  # the programs below run in it
    try:
        into.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(f"cannot write to {into}: {error.strerror or error}") from error
    for name in PACKAGES:
        unpacked = into / name
        if not unpacked.is_dir():
            _run(apt, "download", "--quiet", name, cwd=into)
            archive = next(into.glob(f"{name}_*.deb"))
            partial = into / f".{name}"
            _run(dpkg, "--extract", str(archive), str(partial), cwd=into)
            partial.rename(unpacked)
            archive.unlink()
        tick(name)
    return into


def _run(*command: str, cwd: Path) -> None:
    try:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True)  # noqa: S603 - our own arguments
    except subprocess.CalledProcessError as error:
        raise UnavailableError(f"{' '.join(command)} failed: {error.stderr.strip()}") from error
