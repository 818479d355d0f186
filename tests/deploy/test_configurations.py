"""Every configuration in deploy/, and every one that `init` writes, is accepted by the program that reads it."""

import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from hub.deployment.layout import SERVERS
from hub.settings import HubSettings
from shared.settings import load_settings
from tests.deployment import CreatedDeployment, DeploymentBroker, FoundedStore, init
from tests.ports import free_port
from tests.programs import program
from tests.server_processes import Mosquitto, Redis, accepts, eventually

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = "1.31"
KUSTOMIZATION = DEPLOY / "kubernetes" / "kustomization.yaml"
LAYOUTS = ("here", "debian", "containers")
WORST_EXPOSURE = 2.0
"""By `systemd-analyze security`: from 0 (none) to 10."""


def run_output(*command: str, cwd: Path | None = None) -> str:
    """What a program prints; it must be content."""
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=cwd)
    assert ran.returncode == 0, f"{' '.join(command)}: {ran.stdout}{ran.stderr}"
    return ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder of every layout."""
    place = tmp_path_factory.mktemp("layouts")
    with pytest.MonkeyPatch.context() as patch:
        for layout in LAYOUTS:
            if layout == "containers":  # root may run tests, but not containers
                patch.setattr("os.getuid", lambda: 10_001)
            code, printed = init(str(place / layout), "--broker", "broker.example", "--layout", layout)
            assert code == 0, printed
    return {layout: place / layout for layout in LAYOUTS}


def here(text: str, written: dict[str, Path], layout: str) -> str:
    """A configuration of another layout, with that layout's paths replaced by those of `here`."""
    debian = {"/etc/mosquitto": "mosquitto", "/etc/redis": "redis", "/etc/earwitness": "hub"}
    debian |= {"/var/lib/mosquitto": "data/mosquitto", "/var/lib/redis": "data/redis"}
    containers = {"/mosquitto/config": "mosquitto", "/mosquitto/data": "data/mosquitto"}
    containers |= {"/run/secrets": "redis", "/data": "data/redis"}
    for path, own in (debian if layout == "debian" else containers).items():
        text = re.sub(rf"(?<![\w/]){path}(?=/|\s)", str(written["here"] / own), text)
    return text


@pytest.mark.parametrize("layout", LAYOUTS)
def test_prometheus_and_alertmanager_take_their_configurations(written: dict[str, Path], layout: str) -> None:
    folder = written[layout]
    assert "SUCCESS" in run_output(
        program("promtool"), "check", "config", str(folder / "prometheus" / "prometheus.yml")
    )
    reported = run_output(program("amtool"), "check-config", str(folder / "alertmanager" / "alertmanager.yml"))
    assert "SUCCESS" in reported


def test_alertmanager_sends_what_was_detected_to_inspectors_and_the_rest_to_operators(
    written: dict[str, Path],
) -> None:
    config = f"--config.file={written['here'] / 'alertmanager' / 'alertmanager.yml'}"
    route = (program("amtool"), "config", "routes", "test", config)
    assert run_output(*route, "alertname=SimilarPastEvents").splitlines()[0] == "inspectors"
    assert run_output(*route, "alertname=SimilarPastEvents", "severity=urgent").splitlines()[0] == "inspectors"
    assert run_output(*route, "alertname=EarwitnessHubDown", "severity=page").splitlines()[0] == "operators"
    assert run_output(*route, "alertname=EarwitnessQueueGrowing", "severity=ticket").splitlines()[0] == "tickets"


def test_rules_that_ship_are_rules() -> None:
    for rules in (DEPLOY / "prometheus").glob("*.yml"):
        assert "SUCCESS" in run_output(program("promtool"), "check", "rules", str(rules))


def test_debians_prometheus_and_alertmanager_listen_on_loopback_only(tmp_path: Path) -> None:
    """Their own defaults listen on every address."""
    executables = {
        "prometheus": program("prometheus"),
        "prometheus-alertmanager": program("prometheus-alertmanager"),
    }
    sockets = program("ss")
    ports = {name: free_port() for name in ("prometheus", "alertmanager")}
    chosen = [part for name, port in ports.items() for part in ("--port", f"{name}={port}")]
    folder = tmp_path / "noise"
    assert init(str(folder), "--broker", "broker.example", "--layout", "debian", *chosen)[0] == 0
    for name, defaults, option in (
        ("prometheus", "prometheus/prometheus.default", "storage.tsdb.path"),
        ("alertmanager", "alertmanager/prometheus-alertmanager.default", "storage.path"),
    ):
        text = (folder / defaults).read_text()
        assert f"install -m 0644 {defaults} /etc/default/{Path(defaults).stem}\n" in (folder / "NEXT.md").read_text()
        (arguments,) = re.findall(r'^ARGS="(.+)"$', text, re.MULTILINE)
        places = [f"--config.file={folder / name / f'{name}.yml'}", f"--{option}={tmp_path / name}"]
        command = [executables[Path(defaults).stem], *places, *arguments.split()]
        with (tmp_path / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path)
        try:
            eventually(partial(accepts, ports[name]), 20, f"{name} listens; see {tmp_path / 'log'}")
            listening = run_output(sockets, "-H", "-l", "-n", "-t", "-u", "-p")
            own = [line.split()[4] for line in listening.splitlines() if f"pid={process.pid}," in line]
            assert own == [f"127.0.0.1:{ports[name]}"]
        finally:
            process.terminate()
            process.wait(20)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_to_do_next_names_what_is_there_and_edits_before_it_copies(
    written: dict[str, Path], layout: str
) -> None:
    text = (written[layout] / "NEXT.md").read_text()
    assert text.index("`alertmanager/alertmanager.yml`") < text.index("```console")
    assert "broker's certificate ends in 825 days, those of hubs, listener and sensors in\n   5 years" in text
    for line in re.findall(r"^# install [^&\n]*", text, re.MULTILINE):
        for source in re.findall(r"(?<= )[a-z]+/\S+", line):
            assert list(written[layout].glob(source)), source


@pytest.mark.parametrize("layout", ["debian", "containers"])
def test_broker_and_store_differ_by_paths_and_names_only(written: dict[str, Path], layout: str) -> None:
    for name, differing in (
        ("mosquitto/mosquitto.conf", ("user ", "listener 8884", "log_dest ")),
        ("redis/redis.conf", ("bind ",)),
    ):
        other = here((written[layout] / name).read_text(), written, layout).splitlines()
        own = (written["here"] / name).read_text().splitlines()
        assert len(other) == len(own)
        changed = [one for one, two in zip(own, other, strict=True) if one != two]
        assert all(line.startswith(differing) for line in changed), changed
    assert (written[layout] / "mosquitto" / "acl").read_text() == (written["here"] / "mosquitto" / "acl").read_text()


def test_broker_and_store_start_with_what_init_writes(tmp_path: Path) -> None:
    founded = CreatedDeployment(tmp_path / "noise")
    for server in (DeploymentBroker(tmp_path / "broker", founded), FoundedStore(tmp_path / "store", founded)):
        server.start()
        server.stop()
        # Caused by the test: its user, its probe of the port; and rights for all sensors, as in the ACL.
        look = ("unexpected eof", "Client <unknown> disconnected")
        ours = ("run as root", *look, "overcommit", "intake' does not contain '%c' or '%u'")
        log = (server.folder / "log").read_text().splitlines()
        reported = [line for line in log if re.search(r"(?i)error|warning|deprecated", line)]
        assert [line for line in reported if not any(one in line for one in ours)] == []


def test_the_plain_configurations_start_a_broker_and_a_store(tmp_path: Path) -> None:
    class Plain(Mosquitto):
        def command(self) -> list[str]:
            text = (DEPLOY / "mosquitto.conf").read_text()
            text = text.replace("listener 1883", f"user root\nlistener {self.port}")
            (self.folder / "plain.conf").write_text(text.replace("/var/lib/mosquitto/", f"{self.folder}/"))
            return [self.executable, "-c", str(self.folder / "plain.conf")]

    broker, store = Plain(tmp_path / "broker"), Redis(tmp_path / "store")
    plain = [str(DEPLOY / "redis.conf"), "--port", str(store.port), "--dir", str(store.folder)]
    started = subprocess.Popen([store.executable, *plain], stdout=subprocess.DEVNULL)
    broker.start()
    broker.stop()
    eventually(store.ready, 60, "the store answers, so that it ends in order when asked to")
    started.terminate()
    assert started.wait(20) == 0


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_hub_takes_its_settings(written: dict[str, Path], layout: str) -> None:
    settings = load_settings(HubSettings, written[layout] / "hub" / "hub.toml", [])
    assert settings.mqtt.tls
    assert settings.notify.alertmanagers["prometheus"].url.get_secret_value().endswith(":9093")


def composed(written: dict[str, Path]) -> dict[str, Any]:
    """deploy/compose.yaml as docker-compose understands it."""
    folder = written["containers"]
    file = ("-f", str(DEPLOY / "compose.yaml"))
    text = run_output(program("docker-compose"), "--env-file", str(folder / "compose.env"), *file, "config")
    return dict(yaml.safe_load(text))


def test_compose_is_understood_and_every_container_is_confined(written: dict[str, Path]) -> None:
    services = composed(written)["services"]
    assert set(services) == {*SERVERS, "grafana"}
    for name, service in services.items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert re.fullmatch(r"[^:]+:v?\d+\.\d+(\.\d+)?(-\w+)?", service["image"]), name
        assert {"user", "healthcheck", "mem_limit", "pids_limit", "restart"} <= set(service), name


def test_compose_opens_the_sensors_port_and_nothing_else(written: dict[str, Path]) -> None:
    services = composed(written)["services"]
    published = {name: service.get("ports", []) for name, service in services.items()}
    assert published["redis"] == []
    every = [port for ports in published.values() for port in ports]
    assert len(every) == len(services)
    to_all = [port for port in every if not str(port).startswith("127.0.0.1:")]
    assert to_all == [{"published": 8883, "target": 8883}]
    assert "127.0.0.1:8884:8884/tcp" in published["mosquitto"]


def test_compose_mounts_only_what_init_writes_or_deploy_holds(written: dict[str, Path]) -> None:
    understood = composed(written)
    sources = [volume.split(":")[0] for one in understood["services"].values() for volume in one.get("volumes", [])]
    sources += [secret["file"] for secret in understood["secrets"].values()]
    assert len(sources) > 10
    missing = [one for one in sources if not one.startswith(str(DEPLOY / "grafana")) and not Path(one).exists()]
    assert missing == []
    assert f"{DEPLOY / 'prometheus'}:/etc/prometheus/rules:ro" in understood["services"]["prometheus"]["volumes"]
    assert (
        written["containers"] / "prometheus" / "rules"
    ).is_dir()  # else it could not be mounted over a read-only one


def test_compose_and_kubernetes_run_the_same_images(written: dict[str, Path]) -> None:
    images = {service["image"] for service in composed(written)["services"].values()}
    in_kubernetes = {
        container["image"]
        for manifest in manifests()
        if manifest["kind"] == "StatefulSet"
        for container in manifest["spec"]["template"]["spec"]["containers"]
    }
    assert len(in_kubernetes) == 3
    assert in_kubernetes <= images


def manifests() -> list[dict[str, Any]]:
    files = sorted(set((DEPLOY / "kubernetes").glob("*.yaml")) - {KUSTOMIZATION})
    return [manifest for file in files for manifest in yaml.safe_load_all(file.read_text())]


def test_manifests_are_what_kubernetes_expects() -> None:
    kinds = [manifest["kind"] for manifest in manifests()]
    assert {"Namespace", "StatefulSet", "Service", "PodDisruptionBudget", "NetworkPolicy"} <= set(kinds)
    for manifest in manifests():
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


def test_kustomize_takes_every_manifest_and_the_image_from_a_registry() -> None:
    rendered = list(yaml.safe_load_all(run_output(program("kubectl"), "kustomize", str(KUSTOMIZATION.parent))))
    named = {(one["kind"], one["metadata"]["name"]) for one in rendered}
    assert named == {(one["kind"], one["metadata"]["name"]) for one in manifests()}
    (hub,) = (one for one in rendered if (one["kind"], one["metadata"]["name"]) == ("StatefulSet", "hub"))
    (container,) = hub["spec"]["template"]["spec"]["containers"]
    assert container["image"] == "registry.example/earwitness-hub:0.1.0"


def test_prometheus_takes_the_documented_way_to_find_hubs_in_kubernetes(tmp_path: Path) -> None:
    """Rules ask for the job `earwitness-hub`."""
    (snippet,) = re.findall(r"```yaml\n(scrape_configs:.*?)```", (ROOT / "docs" / "deploy.md").read_text(), re.DOTALL)
    (job,) = yaml.safe_load(snippet)["scrape_configs"]
    assert job.pop("kubernetes_sd_configs")  # Debian's promtool is built without
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump({"scrape_configs": [job]}))
    assert "SUCCESS" in run_output(program("promtool"), "check", "config", str(tmp_path / "prometheus.yml"))
    assert job["job_name"] == "earwitness-hub"
    kept = {one["regex"] for one in job["relabel_configs"] if one.get("action") == "keep"}
    (pod,) = (
        one["spec"]["template"]
        for one in manifests()
        if one["kind"] == "StatefulSet" and one["metadata"]["name"] == "hub"
    )
    (port,) = pod["spec"]["containers"][0]["ports"]
    assert kept == {pod["metadata"]["labels"]["app.kubernetes.io/name"], port["name"]}


def test_pods_ask_for_no_rights_and_are_found_by_their_services_and_policies() -> None:
    pods = [one["spec"]["template"] for one in manifests() if one["kind"] == "StatefulSet"]
    names = {pod["metadata"]["labels"]["app.kubernetes.io/name"] for pod in pods}
    assert names == {"mosquitto", "redis", "hub"}
    for pod in pods:
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"]
        assert not spec["automountServiceAccountToken"]
        for container in spec["containers"]:
            own = container["securityContext"]
            assert own["readOnlyRootFilesystem"]
            assert not own["allowPrivilegeEscalation"]
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert {"readinessProbe", "livenessProbe", "resources"} <= set(container)
    for manifest in manifests():
        if manifest["kind"] == "Service":
            assert manifest["spec"]["selector"]["app.kubernetes.io/name"] in names
            ports = {port["name"] for pod in pods for c in pod["spec"]["containers"] for port in c["ports"]}
            assert {port["targetPort"] for port in manifest["spec"]["ports"]} <= ports
        if manifest["kind"] == "NetworkPolicy" and manifest["spec"]["podSelector"]:
            assert manifest["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"] in names


def test_pods_mount_what_init_writes_where_its_configurations_look(written: dict[str, Path]) -> None:
    folder = written["containers"]
    for manifest in manifests():
        if manifest["kind"] == "StatefulSet":
            name = manifest["metadata"]["name"]
            spec = manifest["spec"]["template"]["spec"]
            secrets = [volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume]
            assert secrets == [name]
            mounts = spec["containers"][0]["volumeMounts"]
            mounted = [mount["mountPath"] for mount in mounts]
            from_init = {
                m["mountPath"] for m in mounts for v in spec["volumes"] if m["name"] == v["name"] and "secret" in v
            }
            conf = "hub.toml" if name == "hub" else f"{name}.conf"
            text = (folder / name / conf).read_text()
            for path in re.findall(r"(?<![\w:/])/(?:etc|run|mosquitto|data|usr|var)[\w/.-]*", text):
                assert any(path.startswith(mount) for mount in mounted), path
                within = Path(path)
                if str(within.parent) in from_init and within.suffix in {".crt", ".key", ".crl", ".acl"}:
                    assert (folder / name / within.name).exists(), path


@pytest.mark.parametrize("program_name", ["hub", "edge"])
def test_units_are_understood_by_systemd_and_expose_little(tmp_path: Path, program_name: str) -> None:
    name = f"earwitness-{program_name}.service"
    unit = (DEPLOY / "systemd" / name).read_text()
    installed = tmp_path / name
    installed.write_text(unit.replace("/opt/earwitness/bin", str(Path(sys.executable).parent)))
    assert run_output(program("systemd-analyze"), "verify", str(installed)).strip() == ""
    reported = run_output(program("systemd-analyze"), "security", "--offline=true", str(DEPLOY / "systemd" / name))
    score = re.search(r"Overall exposure level for \S+: ([\d.]+)", reported)
    assert score is not None, reported
    assert float(score[1]) <= WORST_EXPOSURE
    documented = (ROOT / "docs" / "deploy.md").read_text()
    assert f"{name}` | {score[1]} |" in documented, f"docs/deploy.md states another score than {score[1]}"


def test_units_find_what_init_writes(written: dict[str, Path]) -> None:
    hub = load_settings(HubSettings, written["debian"] / "hub" / "hub.toml", [])
    unit = (DEPLOY / "systemd" / "earwitness-hub.service").read_text()
    assert "StateDirectory=earwitness-hub\n" in unit
    assert str(hub.store.audio_dir).startswith("/var/lib/earwitness-hub/")
    for credential in re.findall(r"LoadCredential=\S+:/etc/earwitness/(\S+)", unit):
        assert (written["debian"] / "hub" / credential).exists()


def test_images_are_built_from_what_they_copy(tmp_path: Path) -> None:
    for name, extra in (("hub", "hub"), ("edge", "edge")):
        text = (DEPLOY / f"{name}.Dockerfile").read_text()
        copied = [part for line in re.findall(r"COPY (?!--)(.+)", text) for part in line.split()[:-1]]
        assert f".[{extra}]" in text
        for part in copied:
            assert (ROOT / part).exists(), part
            assert f"!{part}" in (ROOT / ".dockerignore").read_text().splitlines(), part
        assert re.search(r"^USER 10001", text, re.MULTILINE)
        assert "HEALTHCHECK" in text
        context = tmp_path / name
        context.mkdir()
        for part in copied:
            own = ROOT / part
            if own.is_dir():
                shutil.copytree(own, context / part, ignore=shutil.ignore_patterns("__pycache__", "baselines"))
            else:
                shutil.copy(own, context / part)
        build = "import setuptools.build_meta as b; print(b.build_wheel('.'))"
        assert ".whl" in run_output(sys.executable, "-c", build, cwd=context)


def test_images_pin_their_base_and_what_is_installed() -> None:
    constraints = (ROOT / "constraints.txt").read_text()
    for name in ("hub", "edge"):
        text = (DEPLOY / f"{name}.Dockerfile").read_text()
        (base,) = set(re.findall(r"^ARG PYTHON=(.+)$", text, re.MULTILINE))
        assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", base)
        assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${PYTHON}"}
        assert "# syntax=" not in text, "a frontend of another image would be fetched"
        assert "PIP_CONSTRAINT=/src/constraints.txt" in text, "the option does not hold for isolated builds"
        assert all("--constraint constraints.txt" in line for line in re.findall(r".*pip install.*", text))
    assert re.search(r"^setuptools==", constraints, re.MULTILINE), "our wheel is built by it"


def test_every_file_in_deploy_is_explained() -> None:
    text = (ROOT / "docs" / "deploy.md").read_text()
    files = [file for file in DEPLOY.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    assert len(files) > 8
    paths = [file.relative_to(DEPLOY) for file in files]
    unexplained = [str(path) for path in paths if str(path) not in text and path.parts[0] != "grafana"]
    assert unexplained == []
    assert "`grafana/`" in text
