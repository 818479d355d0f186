"""A sensor in every mode where PyTorch, SciPy and the hub's packages are not installed, in a new interpreter."""

import json
import subprocess
import sys
from pathlib import Path

from tests.sealing import key_pair

MODES = {
    "audio": [],
    "audio around loud clips": ["send.what=events", "send.min_laeq=-200"],
    "embeddings": ["send.what=embeddings"],
    "levels": ["send.what=levels"],
    "audio and embeddings": ["features.with_sound=true"],
    "no speech": ["privacy.no_speech=true"],
    "sealed": [f"privacy.sealed_to={key_pair().public}"],
}
CODE = """
import importlib, json, pkgutil, sys, threading
tried = []
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "torchaudio", "scipy", "redis", "fastapi", "onnx", "hub"}:
            tried.append(name)
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
from pathlib import Path
import edge
from edge.capture import Capture
from edge.extractor import open_extractor
from edge.settings import EdgeSettings
from edge.sources import open_source
from edge.spool import Spool
from edge.spool_writer import Destination
from shared.settings import load_settings
spooled = {}
for number, (mode, overrides) in enumerate(json.loads(sys.argv[1]).items()):
    finite = ["source.max_clips=1", "source.rate_hz=16000", "source.speed=1e5"]
    settings = load_settings(EdgeSettings, None, [*finite, *overrides])
    spool = Spool(Path(f"{number}.db"), 10**8)
    destination = Destination(spool, print)
    Capture(settings, open_source(settings), destination, "b", open_extractor(settings)).run(threading.Event())
    spooled[mode] = spool.pending()
    spool.close()
for module in pkgutil.walk_packages(edge.__path__, "edge."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(json.dumps({"spooled": spooled, "tried": tried}))
"""


def test_every_mode_and_every_module_runs_without_torch_and_scipy(tmp_path: Path) -> None:
    line = [sys.executable, "-c", CODE, json.dumps(MODES)]
    ran = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found["tried"] == []
    assert set(found["spooled"]) == set(MODES)
    assert min(found["spooled"].values()) >= 1, found["spooled"]
