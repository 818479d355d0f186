"""Programs and libraries of the system that tests need: where they are, and how they are installed.

`python -m tests.system_packages`, which is `make test-deps`, installs with apt-get what is missing. It needs no
Python package.
"""

import argparse
import ctypes
import ctypes.util
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

TABLE: Final = Path(__file__).with_name("system-packages.toml")
SYSTEM_FOLDERS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where servers are installed; a user's PATH on Debian lacks them."""
COMMAND: Final = "make test-deps"


@dataclass(frozen=True, slots=True)
class Needed:
    """A row of the table.

    Attributes:
        name: the program as it is called, or the library as the linker names it.
        package: the Debian package that holds it.
        purpose: what tests use it for.
    """

    kind: Literal["program", "library"]
    name: str
    package: str
    purpose: str

    def locate(self) -> str | None:
        """Return the path of the program or the file name of the library, or None where it is missing."""
        if self.kind == "program":
            return shutil.which(self.name) or shutil.which(self.name, path=os.pathsep.join(SYSTEM_FOLDERS))
        plugins = Path("/usr/lib").glob(f"*/alsa-lib/lib{self.name}.so")
        found = ctypes.util.find_library(self.name) or next(map(str, plugins), None)
        try:
            return found if found and ctypes.CDLL(found) else None
        except OSError:
            return None


def read_table(path: Path = TABLE) -> tuple[Needed, ...]:
    """Return the rows of the table."""
    table = tomllib.loads(path.read_text())
    programs = [Needed("program", name, **row) for name, row in table["programs"].items()]
    return (*programs, *(Needed("library", name, **row) for name, row in table["libraries"].items()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Install what is missing; return the exit code."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Install the Debian packages that tests need.")
    parser.add_argument("--dry-run", action="store_true", help="print what is missing and install nothing")
    parser.add_argument("--table", type=Path, default=TABLE, help="programs and packages (%(default)s)")
    options = parser.parse_args(arguments)
    table = read_table(options.table)
    missing = [needed for needed in table if needed.locate() is None]
    if not missing:
        _print_line(f"All {len(table)} programs and libraries that tests need are installed.")
        return 0
    for needed in missing:
        _print_line(f"missing: {needed.name} (Debian package {needed.package}): {needed.purpose}")
    packages = sorted({needed.package for needed in missing})
    if options.dry_run:
        return 1
    return _install(packages, missing)


def _install(packages: list[str], missing: list[Needed]) -> int:
    install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    if shutil.which("apt-get") is None:
        return _refuse("apt-get is not here: install these programs with this system's own package manager.")
    prefix: list[str] = []
    if os.geteuid() != 0:
        if shutil.which("sudo") is None:
            return _refuse(f"Only root can install packages, and sudo is not here. As root, run: {' '.join(install)}")
        _print_line("Only root can install packages: sudo may ask for your password.")
        prefix = ["sudo", "DEBIAN_FRONTEND=noninteractive"]
    _print_line(f"Installing with apt-get: {' '.join(packages)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "--quiet"], install):
        if subprocess.run([*prefix, *command], check=False, env=environment).returncode != 0:
            return _refuse(f"`{' '.join([*prefix, *command])}` failed: see above.")
    left = [needed.name for needed in missing if needed.locate() is None]
    if left:
        return _refuse(f"Still missing after the installation: {', '.join(left)}")
    _print_line(f"Installed. {COMMAND} is done.")
    return 0


def _print_line(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def _refuse(words: str) -> int:
    sys.stderr.write(f"{words}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
