"""Fuzz every decoder and parser: `python -m tests.fuzz --inputs 1000000`.

Each target of `tests/fuzz/targets.py` gets its share of the inputs: mutations of the files in
`tests/fuzz/corpus/<target>`, led by coverage (atheris, from the extra `fuzz`). A target fails if it raises anything
but the three errors, takes longer than 20 seconds, or needs more memory than allowed. The input that made it fail is
kept in `build/fuzz/<target>`. It belongs into the corpus once the fault is mended: the default tests replay the
corpus.
The exit code is 0 if no target failed.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from tests.fuzz.targets import TARGETS

CORPUS: Final = Path(__file__).parent / "corpus"
FOUND: Final = Path("build/fuzz")
LONGEST_S: Final = 20
LONGEST_BYTES: Final = 65_536


def fuzz(name: str, *, inputs: int, seed: int, memory_mb: int, found: Path) -> dict[str, object]:
    """Fuzz one target in a process of its own; the result, for the report."""
    kept = found / name
    kept.mkdir(parents=True, exist_ok=True)
    options = {
        "runs": inputs,
        "seed": seed,
        "max_len": LONGEST_BYTES,
        "timeout": LONGEST_S,
        "rss_limit_mb": memory_mb,
        "artifact_prefix": f"{kept}/",
        "print_final_stats": 1,
    }
    flags = [f"-{key}={value}" for key, value in options.items()]
    started = time.monotonic()
    command = [sys.executable, "-m", "tests.fuzz.one", name, *flags, str(kept), str(CORPUS / name)]
    ran = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    done = re.search(r"number_of_executed_units:\s+(\d+)", ran.stderr)
    peak = re.search(r"peak_rss_mb:\s+(\d+)", ran.stderr)
    return {
        "target": name,
        "inputs": int(done.group(1)) if done else 0,
        "seconds": round(time.monotonic() - started, 1),
        "peak_mb": int(peak.group(1)) if peak else 0,
        "failed": ran.returncode != 0,
        "tail": ran.stderr[-2_000:] if ran.returncode else "",
    }


def main() -> int:
    """Parse the command line, fuzz, print a line per target or one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="inputs of all targets together")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="only this one; may be repeated")
    parser.add_argument("--seed", type=int, default=1, help="seed of the mutations (default 1)")
    parser.add_argument("--memory-mb", type=int, default=2_048, help="most memory of a target's process")
    parser.add_argument("--found", type=Path, default=FOUND, help=f"where new inputs are kept (default {FOUND})")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    arguments = parser.parse_args()
    names = arguments.target or list(TARGETS)
    rows = []
    for name in names:
        share = -(-arguments.inputs // len(names))
        row = fuzz(name, inputs=share, seed=arguments.seed, memory_mb=arguments.memory_mb, found=arguments.found)
        rows.append(row)
        verdict = "FAILED" if row["failed"] else "ok"
        print(  # noqa: T201
            f"{name:18} {verdict:6} {row['inputs']:>8} inputs {row['seconds']:>7} s  peak {row['peak_mb']} MB",
            file=sys.stderr,
        )
        if row["failed"]:
            print(row["tail"], file=sys.stderr)  # noqa: T201
    failed = [row["target"] for row in rows if row["failed"]]
    if arguments.json:
        print(json.dumps({"inputs": sum(int(str(row["inputs"])) for row in rows), "failed": failed, "targets": rows}))  # noqa: T201
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
