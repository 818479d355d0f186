"""Fuzz one target: `python -m tests.fuzz.one TARGET [libFuzzer's options] CORPUS...`; see `tests.fuzz`."""

import sys

import atheris

with atheris.instrument_imports(include=["shared", "edge", "hub"]):
    from tests.fuzz.targets import attempt


def main() -> None:
    """Hand the target to the fuzzer."""
    name = sys.argv.pop(1)

    def test_one_input(data: bytes) -> None:
        attempt(name, data)

    atheris.Setup(sys.argv, test_one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
