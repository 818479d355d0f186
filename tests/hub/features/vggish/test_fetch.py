"""Fetching VGGish's weights from a real HTTP server that may misbehave."""

import hashlib
import json
import random
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from hub.cli import weights
from hub.features.vggish.convert import published_metadata
from hub.features.vggish.download import RetryPolicy, _Redirects, download
from hub.features.vggish.extractor import Vggish, VggishNetwork
from hub.features.vggish.fetch import Fetched, fetch_vggish
from hub.features.vggish.published import PublishedFile, PublishedRelease
from shared.errors import InvalidError, UnavailableError

pytestmark = pytest.mark.e2e

ONCE = RetryPolicy(attempts=1)
BODY = np.random.default_rng(0).bytes(1_500_000)


class Mirror(ThreadingHTTPServer):
    """An HTTP server of a few files that notes what it is asked for and what it sends."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.files = files
        self.knows_ranges = True
        self.states_length = True
        self.drops_after: list[int] = []
        """Bytes of the body after which the next connections end."""
        self.refusals: list[int] = []
        """Statuses of the next answers."""
        self.asked: list[tuple[str, str | None]] = []
        self.sent_bytes = 0

    def handle_error(self, *_: object) -> None:
        """Clients may hang up."""


class Answer(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        name, wanted = self.path.removeprefix("/"), self.headers["Range"]
        self.server.asked.append((name, wanted))
        if self.server.refusals:
            self.send_error(self.server.refusals.pop(0))
            return
        if name.startswith("moved/"):
            self.send_response(302)
            self.send_header("Location", name.removeprefix("moved"))
            self.end_headers()
            return
        if name not in self.server.files:
            self.send_error(404)
            return
        body, start = self.server.files[name], 0
        if wanted and self.server.knows_ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            self.send_response(206 if start < len(body) else 416)
            end = f"{start}-{len(body) - 1}" if start < len(body) else "*"
            self.send_header("Content-Range", f"bytes {end}/{len(body)}")
        else:
            self.send_response(200)
        if self.server.states_length:
            self.send_header("Content-Length", str(len(body[start:])))
        self.end_headers()
        cut = self.server.drops_after.pop(0) if self.server.drops_after else len(body)
        self.server.sent_bytes += len(body[start:][:cut])  # before the client can see the last of them
        self.wfile.write(body[start:][:cut])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    server = Mirror({"file": BODY})
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two files like the published ones; the network's tensors are single values spread out, so it is small."""
    folder = tmp_path_factory.mktemp("published")
    with torch.device("meta"):
        shapes = {name: tensor.shape for name, tensor in VggishNetwork().state_dict().items()}
    torch.save({name: torch.full((1,), 1e-3).expand(shape) for name, shape in shapes.items()}, folder / "n.pth")
    # As numpy 1 and PyTorch of 2019 wrote it: another module's name, the older container.
    pca = {"pca_eigen_vectors": np.eye(128), "pca_means": np.zeros(128)}
    torch.save(pca, folder / "new.pth", _use_new_zipfile_serialization=False)
    old = (folder / "new.pth").read_bytes().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    assert b"cnumpy.core.multiarray\n" in old
    (folder / "p.pth").write_bytes(old)
    return {"network": folder / "n.pth", "pca": folder / "p.pth"}


@pytest.fixture
def release(published: dict[str, Path], mirror: Mirror) -> PublishedRelease:
    """What the mirror publishes."""
    files = {}
    for kind, path in published.items():
        content = path.read_bytes()
        files[kind] = PublishedFile(f"{kind}.pth", hashlib.sha256(content).hexdigest()[:8], 1_000_000)
        mirror.files[f"{kind}.pth"] = content
    return PublishedRelease(url=mirror.url, **files)


def fetch(release: PublishedRelease, into: Path, *offered: Path, patience: RetryPolicy = ONCE) -> Fetched:
    return fetch_vggish(release, into, offered=offered, patience=patience, ticks=lambda _: lambda _done, _total: None)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


INSTALLED = ["vggish.safetensors", "vggish_pca.safetensors"]


def test_what_was_fetched_is_installed_loadable_and_not_fetched_again(
    mirror: Mirror, release: PublishedRelease, tmp_path: Path
) -> None:
    into = tmp_path / "new" / "folder"
    assert fetch(release, into).written == tuple(into / name for name in INSTALLED)
    assert names(into) == INSTALLED
    assert [name for name, _ in mirror.asked] == ["network.pth", "pca.pth"]
    features = Vggish.load(into).extract(np.ones(16_000, np.float32), 16_000)
    assert features.shape == (10, 128)
    assert published_metadata(into / "vggish_pca.safetensors").startswith(release.pca.sha256_head)
    again = fetch(release, into)
    assert (again.written, again.present) == ((), tuple(into / name for name in INSTALLED))
    assert len(mirror.asked) == 2


def test_what_is_missing_or_damaged_is_fetched_alone(
    mirror: Mirror, release: PublishedRelease, tmp_path: Path
) -> None:
    fetch(release, tmp_path)
    (tmp_path / "vggish_pca.safetensors").write_bytes(b"damaged")
    mirror.asked.clear()
    assert fetch(release, tmp_path).written == (tmp_path / "vggish_pca.safetensors",)
    assert [name for name, _ in mirror.asked] == ["pca.pth"]


def test_a_download_that_was_complete_but_not_converted_is_used(
    mirror: Mirror, release: PublishedRelease, tmp_path: Path
) -> None:
    (tmp_path / "network.pth").write_bytes(mirror.files["network.pth"])
    (tmp_path / "pca.pth").write_bytes(b"something else")
    fetch(release, tmp_path)
    assert [name for name, _ in mirror.asked] == ["pca.pth"]
    assert names(tmp_path) == INSTALLED


def test_a_second_run_goes_on_where_the_connection_broke(mirror: Mirror, tmp_path: Path) -> None:
    part = tmp_path / "file.part"
    mirror.drops_after = [700_000]
    with pytest.raises(UnavailableError, match="700000 of 1500000"):
        download(f"{mirror.url}/file", part, max_bytes=2_000_000, patience=ONCE)
    assert part.read_bytes() == BODY[:700_000]
    reported: list[tuple[int, int | None]] = []
    download(
        f"{mirror.url}/file", part, max_bytes=2_000_000, patience=ONCE, tick=lambda *so_far: reported.append(so_far)
    )
    assert part.read_bytes() == BODY
    assert mirror.asked == [("file", None), ("file", "bytes=700000-")]
    assert mirror.sent_bytes == len(BODY), "no byte was sent twice"
    assert (reported[0], reported[-1]) == ((700_000, 1_500_000), (1_500_000, 1_500_000))


def test_one_run_tries_again_and_waits_longer_each_time(mirror: Mirror, tmp_path: Path) -> None:
    part, waits = tmp_path / "part", list[float]()
    mirror.refusals, mirror.drops_after = [503, 429], [1, 500_000]
    download(f"{mirror.url}/file", part, max_bytes=2_000_000, patience=RetryPolicy(), wait=waits.append)
    assert part.read_bytes() == BODY
    assert [wanted for _, wanted in mirror.asked] == [None, None, None, "bytes=1-", "bytes=500001-"]
    assert len(waits) == 4
    assert all(0 <= wait <= longest for wait, longest in zip(waits, [1, 2, 4, 8], strict=True))
    assert mirror.sent_bytes == len(BODY)


def test_waits_double_up_to_the_longest() -> None:
    longest = [max(RetryPolicy().wait_s(n, random.Random(seed)) for seed in range(300)) for n in range(1, 9)]
    np.testing.assert_allclose(longest, [1, 2, 4, 8, 16, 30, 30, 30], rtol=0.05)


def test_a_server_that_ignores_ranges_sends_all_of_it_again(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"x" * 2_000)
    mirror.knows_ranges = False
    download(f"{mirror.url}/file", tmp_path / "part", max_bytes=2_000_000, patience=ONCE)
    assert (tmp_path / "part").read_bytes() == BODY
    assert mirror.asked == [("file", "bytes=2000-")]


def test_what_is_complete_is_not_sent_again(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(BODY)
    download(f"{mirror.url}/file", tmp_path / "part", max_bytes=2_000_000, patience=ONCE)
    assert mirror.sent_bytes == 0
    assert (tmp_path / "part").read_bytes() == BODY


def test_what_is_longer_than_the_servers_file_starts_over(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(BODY + b"more")
    download(
        f"{mirror.url}/file", tmp_path / "part", max_bytes=2_000_000, patience=RetryPolicy(2), wait=lambda _: None
    )
    assert (tmp_path / "part").read_bytes() == BODY


def test_a_length_that_is_not_reported_is_no_obstacle(mirror: Mirror, tmp_path: Path) -> None:
    mirror.states_length = False
    download(f"{mirror.url}/file", tmp_path / "part", max_bytes=2_000_000, patience=ONCE)
    assert (tmp_path / "part").read_bytes() == BODY


@pytest.mark.parametrize("states_length", [True, False])
def test_a_file_beyond_the_cap_is_refused_and_removed(mirror: Mirror, tmp_path: Path, *, states_length: bool) -> None:
    mirror.states_length = states_length
    with pytest.raises(InvalidError, match="longer than 1000000 bytes"):
        download(f"{mirror.url}/file", tmp_path / "part", max_bytes=1_000_000, patience=ONCE)
    assert names(tmp_path) == []


def test_redirects_are_followed_with_the_range_but_never_away_from_https(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(BODY[:10])
    download(f"{mirror.url}/moved/file", tmp_path / "part", max_bytes=2_000_000, patience=ONCE)
    assert mirror.asked == [("moved/file", "bytes=10-"), ("file", "bytes=10-")]
    assert (tmp_path / "part").read_bytes() == BODY
    secure = urllib.request.Request("https://example.org/file")
    with pytest.raises(UnavailableError, match="not https"):
        _Redirects().redirect_request(secure, None, 302, "", None, "http://example.org/file")  # type: ignore[arg-type]
    with pytest.raises(InvalidError, match="not an http"):
        download("file:///etc/passwd", tmp_path / "other", max_bytes=1, patience=ONCE)


def test_a_file_with_another_hash_is_refused_removed_and_nothing_is_installed(
    mirror: Mirror, release: PublishedRelease, tmp_path: Path
) -> None:
    mirror.files["network.pth"] = b"not this"
    head = hashlib.sha256(b"not this").hexdigest()[:8]
    with pytest.raises(InvalidError, match=f"begins {head}, not {release.network.sha256_head}.*not installed"):
        fetch(release, tmp_path)
    assert names(tmp_path) == []
    mirror.files["network.pth"] = b""
    with pytest.raises(InvalidError, match="not installed"):
        fetch(release, tmp_path)


def test_a_part_of_another_file_is_refused_and_the_next_run_succeeds(
    mirror: Mirror, release: PublishedRelease, tmp_path: Path
) -> None:
    (tmp_path / "network.pth.part").write_bytes(b"of an older release")
    with pytest.raises(InvalidError, match="same command again"):
        fetch(release, tmp_path)
    assert len(fetch(release, tmp_path).written) == 2
    assert [wanted for _, wanted in mirror.asked] == ["bytes=19-", None, None]


def test_a_file_that_is_not_there_is_asked_for_once_and_reported(
    mirror: Mirror, release: PublishedRelease, tmp_path: Path
) -> None:
    del mirror.files["pca.pth"]
    with pytest.raises(UnavailableError, match=r"pca.pth answers 404 Not Found.*--from.*--url"):
        fetch(release, tmp_path, patience=RetryPolicy())
    assert [name for name, _ in mirror.asked] == ["network.pth", "pca.pth"]
    assert names(tmp_path) == ["vggish.safetensors"], "the half that worked is kept"


def test_without_a_network_it_states_what_to_do(release: PublishedRelease, mirror: Mirror, tmp_path: Path) -> None:
    mirror.server_close()  # frees the port: connections are refused
    waits: list[float] = []
    with pytest.raises(UnavailableError, match=r"failed 3 times.*refused"):
        download(f"{mirror.url}/file", tmp_path / "part", max_bytes=1, patience=RetryPolicy(3), wait=waits.append)
    assert len(waits) == 2
    with pytest.raises(UnavailableError, match=r"refused.*pass it with --from"):
        fetch(release, tmp_path)


def test_a_disk_that_refuses_is_reported(release: PublishedRelease, mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnavailableError, match="cannot write"):
        fetch(release, tmp_path / "file")
    assert mirror.asked == []


def test_offered_files_are_distinguished_by_their_hash_and_stay(
    published: dict[str, Path], release: PublishedRelease, mirror: Mirror, tmp_path: Path
) -> None:
    assert len(fetch(release, tmp_path / "a", published["pca"], published["network"]).written) == 2
    folder = tmp_path / "carried"
    folder.mkdir()
    for kind, path in published.items():
        (folder / f"{kind}.pth").write_bytes(path.read_bytes())
    assert len(fetch(release, tmp_path / "b", folder).written) == 2
    assert names(folder) == ["network.pth", "pca.pth"]
    assert published["pca"].exists()
    assert mirror.asked == []


def test_offered_files_that_are_not_published_are_refused(
    published: dict[str, Path], release: PublishedRelease, mirror: Mirror, tmp_path: Path
) -> None:
    with pytest.raises(InvalidError, match=r"SHA-256 of network.pth"):
        fetch(release, tmp_path, published["pca"])
    with pytest.raises(UnavailableError, match="cannot open"):
        fetch(release, tmp_path, tmp_path / "nothing.pth")
    assert names(tmp_path) == []
    assert mirror.asked == []


def hub() -> typer.Typer:
    app = typer.Typer()
    app.callback()(lambda: None)
    weights.register(app)
    return app


def test_the_command_fetches_from_a_mirror_and_prints_json(
    release: PublishedRelease, mirror: Mirror, tmp_path: Path
) -> None:
    line = ["weights", "fetch", "vggish", "--url", f"{mirror.url}/", "--into", str(tmp_path), "--json"]
    first = CliRunner().invoke(hub(), line, obj=release)
    assert json.loads(first.stdout) == {"written": [str(tmp_path / name) for name in INSTALLED], "present": []}
    second = CliRunner().invoke(hub(), line[:-1], obj=release)
    assert second.stdout == f"VGGish's weights are in {tmp_path} already.\n"


def test_the_command_reports_in_one_line_what_failed(mirror: Mirror, tmp_path: Path) -> None:
    line = ["weights", "fetch", "vggish", "--url", mirror.url, "--into", str(tmp_path), "--attempts", "1"]
    missing = CliRunner().invoke(hub(), line)
    assert missing.exit_code == 1
    assert f"{mirror.url}/vggish-10086976.pth answers 404" in missing.stderr
    mirror.files["vggish-10086976.pth"] = b"not this"
    wrong = CliRunner().invoke(hub(), line)
    assert wrong.exit_code == 2
    assert "not 10086976" in wrong.stderr
    assert "Traceback" not in missing.stderr + wrong.stderr
