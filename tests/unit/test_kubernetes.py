"""The manifests of ``deploy/kubernetes``: what they set exists, what they open is needed, and schemas accept them."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner

from shirase import __version__
from shirase.flask.app import create_app
from shirase.run import proxy, self_drain
from shirase.run.cli import main
from shirase.run.standby import ALIVE, OPEN
from shirase.settings import ProxySettings, Settings
from tests.support.nowhere import NOWHERE

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"
OPERATORS = "monitoring.coreos.com/"  # Prometheus Operator's own kinds, whose schemas are nowhere to be had offline
RELEASES = ("1.29", "1.32", "1.37")  # of Kubernetes
PART = "app.kubernetes.io/component"

Manifest = dict[str, Any]


def manifests(path: Path) -> Iterator[Manifest]:
    yield from yaml.safe_load_all(path.read_text())


BASE = {
    (manifest["kind"], manifest["metadata"]["name"]): manifest
    for path in sorted((KUBERNETES / "base").glob("*.yaml"))
    if path.name != "kustomization.yaml"
    for manifest in manifests(path)
}
WORKLOADS = {
    manifest["metadata"]["labels"][PART]: manifest
    for (kind, _), manifest in BASE.items()
    if kind in ("Deployment", "StatefulSet", "Job")
}
ENV = {
    path.stem: dict(re.findall(r"^(\w+)=(.*)$", path.read_text(), re.MULTILINE))
    for path in (KUBERNETES / "base").glob("*.env")
}
SECRETS = {
    "node": {"pushpin_sig_key"},
    "migrate": {"database_password"},
    "relay": {"database_password", "pushpin_sig_key"},
    "handlers": {"database_password", "pushpin_sig_key", "jwt_secret"},
}


def pod(part: str) -> Manifest:
    template: Manifest = WORKLOADS[part]["spec"]["template"]
    return template


def containers(part: str) -> list[Manifest]:
    spec = pod(part)["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def ports(part: str) -> dict[str, int]:
    return {
        port["name"]: port["containerPort"] for container in containers(part) for port in container.get("ports", [])
    }


def option(part: str, name: str) -> str:
    (option,) = (word for word in containers(part)[-1]["args"] if word.startswith(f"--{name}="))
    return str(option.partition("=")[2])


def test_every_part_is_there() -> None:
    assert {part: manifest["kind"] for part, manifest in WORKLOADS.items()} == {
        "node": "StatefulSet",
        "handlers": "Deployment",
        "relay": "Deployment",
        "migrate": "Job",
    }


def test_what_is_set_is_a_setting() -> None:
    names = {field.name.upper() for field in fields(Settings)} | {"DATABASE_PASSWORD"}
    assert set(ENV["settings"]) <= names
    assert set(ENV["nodes"]) <= {field.name.upper() for field in fields(ProxySettings)}
    for part in WORKLOADS:
        for container in containers(part):
            assert {each["name"].removesuffix("_FILE") for each in container["env"]} - {"POD_IP"} <= names


def test_the_handlers_start_with_these_settings() -> None:
    secrets = {"DATABASE_PASSWORD": "p", "PUSHPIN_SIG_KEY": "k" * 32, "JWT_SECRET": "j" * 32}
    settings = Settings.from_env({**ENV["settings"], **secrets})
    assert ProxySettings.from_env({**ENV["nodes"], **secrets}).cors_origins == settings.cors_origins


@pytest.mark.parametrize("part", SECRETS)
def test_a_part_gets_no_secret_that_it_does_not_use(part: str) -> None:
    (volume,) = (each for each in pod(part)["spec"]["volumes"] if "secret" in each)
    assert {item["path"] for item in volume["secret"]["items"]} == SECRETS[part]
    for container in containers(part):
        for each in container["env"]:
            if each["name"].endswith("_FILE"):
                assert each["value"] == f"/run/secrets/shirase/{each['name'].removesuffix('_FILE').lower()}"
                assert each["value"].rpartition("/")[2] in SECRETS[part]


def test_no_secret_is_in_an_environment() -> None:
    assert "valueFrom: {secretKeyRef" not in "".join(path.read_text() for path in KUBERNETES.rglob("*.yaml"))
    for name, value in {**ENV["settings"], **ENV["nodes"]}.items():
        assert not re.search("SECRET|PASSWORD|SIG_KEY", name)
        assert not re.search(r"//[^/]*:[^/]*@", value), name


@pytest.mark.parametrize("part", SECRETS)
def test_nothing_runs_as_root_or_writes_to_its_root(part: str) -> None:
    spec = pod(part)["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert str(spec["securityContext"]["runAsUser"]) in (ROOT / "Dockerfile").read_text()
    assert spec["automountServiceAccountToken"] is False
    for container in containers(part):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("part", ["node", "relay", "migrate"])
def test_the_commands_and_their_options_exist(part: str) -> None:
    container = containers(part)[-1]
    program, subcommand = container["command"]
    assert program == "shirase"
    answer = CliRunner().invoke(main, [subcommand, *container.get("args", []), "--help"])
    assert answer.exit_code == 0, answer.output


def test_a_nodes_life_depends_on_itself_alone() -> None:
    container = containers("node")[-1]
    probes = {kind: container[kind]["httpGet"] for kind in ("livenessProbe", "readinessProbe")}
    assert {kind: probe["path"] for kind, probe in probes.items()} == {"livenessProbe": ALIVE, "readinessProbe": OPEN}
    assert {ports("node")[probe["port"]] for probe in probes.values()} == {int(option("node", "port"))}


def test_a_node_has_the_time_that_its_drain_takes() -> None:
    longest = float(option("node", "drain")) + self_drain.LATE + self_drain.TIMEOUT + proxy.GRACE
    assert pod("node")["spec"]["terminationGracePeriodSeconds"] >= longest


def test_the_handlers_are_asked_what_they_answer(tmp_path: Path) -> None:
    app = create_app(replace(NOWHERE, database_url=f"sqlite:///{tmp_path}/none.db"))
    paths = {rule.rule for rule in app.url_map.iter_rules()}
    container = containers("handlers")[-1]
    probes = {kind: container[kind]["httpGet"] for kind in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert {probe["path"] for probe in probes.values()} <= paths
    # An outage of the database must neither end a handler nor make all of them unready.
    assert probes["livenessProbe"]["path"] == probes["readinessProbe"]["path"] == "/healthz"
    for monitor in manifests(KUBERNETES / "components/monitoring/monitors.yaml"):
        assert {endpoint["path"] for endpoint in monitor["spec"]["endpoints"]} <= paths
    app.extensions["shirase"].database.close()


def test_every_address_is_where_something_listens() -> None:
    first = int(option("node", "port"))
    assert ports("node") == {"clients": first, "control": first + 2, "statistics": first + 3, "metrics": first + 4}
    assert ENV["settings"]["GRIP_URL"] == f"dns+http://shirase-nodes:{first + 2}"
    assert ENV["settings"]["PUSHPIN_STATS_URL"] == f"dns+tcp://shirase-nodes:{first + 3}"
    assert option("node", "origin") == f"shirase-handlers:{ports('handlers')['http']}"
    assert option("handlers", "bind") == f"0.0.0.0:{ports('handlers')['http']}"
    assert int(option("relay", "metrics-port")) == ports("relay")["metrics"]
    assert WORKLOADS["node"]["spec"]["serviceName"] == "shirase-nodes"


def test_services_and_budgets_select_the_pods_of_one_part() -> None:
    for (kind, name), manifest in BASE.items():
        if kind not in ("Service", "PodDisruptionBudget"):
            continue
        selector = manifest["spec"]["selector"].get("matchLabels", manifest["spec"]["selector"])
        assert selector == pod(selector[PART])["metadata"]["labels"], name
        for port in manifest["spec"].get("ports", []):
            assert ports(selector[PART])[port["targetPort"]] == port["port"], name


def test_nodes_are_found_by_name_before_they_are_ready() -> None:
    spec = BASE["Service", "shirase-nodes"]["spec"]
    assert (spec["clusterIP"], spec["publishNotReadyAddresses"]) == ("None", True)


def test_the_control_port_is_open_to_handlers_and_relays() -> None:
    rules = BASE["NetworkPolicy", "shirase-node"]["spec"]["ingress"]
    open_to = {port["port"]: rule.get("from") for rule in rules for port in rule["ports"]}
    assert set(open_to) == set(ports("node"))
    assert open_to.pop("clients") is None
    for peers in open_to.values():
        (peer,) = peers
        assert set(peer) == {"podSelector"}
        assert peer["podSelector"]["matchExpressions"] == [
            {"key": PART, "operator": "In", "values": ["handlers", "relay"]}
        ]


def test_nothing_else_is_open() -> None:
    default = BASE["NetworkPolicy", "shirase-default"]["spec"]
    assert "ingress" not in default
    for part in WORKLOADS:
        assert default["podSelector"]["matchLabels"].items() <= pod(part)["metadata"]["labels"].items()
    for name in ("shirase-handlers", "shirase-relay"):
        assert all(rule["from"] for rule in BASE["NetworkPolicy", name]["spec"]["ingress"])


def test_a_node_reaches_the_handlers_alone() -> None:
    spec = BASE["NetworkPolicy", "shirase-node"]["spec"]
    assert "Egress" in spec["policyTypes"]
    targets = [rule.get("to") for rule in spec["egress"] if {port["port"] for port in rule["ports"]} != {53}]
    assert targets == [[{"podSelector": {"matchLabels": pod("handlers")["metadata"]["labels"]}}]]


def test_the_handlers_settings_do_not_replace_a_node() -> None:
    assert {each["configMapRef"]["name"] for each in containers("node")[-1]["envFrom"]} == {"shirase-nodes"}


def test_new_pods_wait_for_their_schema() -> None:
    for part in ("handlers", "relay"):
        assert "shirase migrate --check" in containers(part)[0]["command"][-1]


def test_the_image_is_this_release() -> None:
    images = {container["image"] for part in WORKLOADS for container in containers(part)}
    assert images == {f"shirase:{__version__}", f"shirase-node:{__version__}"}
    assert {container["image"] for container in containers("node")} == {f"shirase-node:{__version__}"}


def test_the_operators_rule_is_the_alert_rules() -> None:
    monitoring = ROOT / "deploy/monitoring"
    made = subprocess.run([monitoring / "make-rule"], capture_output=True, text=True, check=True).stdout
    assert made == (monitoring / "prometheus-rule.yaml").read_text(), "run make-rule, as its first line describes"
    assert yaml.safe_load(made)["spec"] == yaml.safe_load((monitoring / "alerts.yml").read_text())


def test_prometheus_parses_the_autoscalers_query(tmp_path: Path) -> None:
    adapter = yaml.safe_load((KUBERNETES / "components/autoscaling/adapter.yaml").read_text())
    (rule,) = adapter["rules"]["external"]
    query = rule["metricsQuery"].replace("<<.LabelMatchers>>", 'namespace="shirase"')
    group = {"name": "scale", "rules": [{"record": "scale", "expr": query}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [group]}))
    subprocess.run(["promtool", "check", "rules", tmp_path / "rules.yml"], capture_output=True, check=True)
    scalers = list(manifests(KUBERNETES / "components/autoscaling/autoscalers.yaml"))
    assert scalers[0]["spec"]["metrics"][0]["external"]["metric"]["name"] == rule["name"]["as"]


@pytest.mark.parametrize("release", RELEASES)
def test_kubernetes_schemas_accept_the_base(release: str) -> None:
    for manifest in BASE.values():
        kubernetes_validate.validate(manifest, release, strict=True)


def _has_kustomize() -> bool:
    """Debian 12's own kubectl (1.20) has one that knows no components."""
    if not shutil.which("kubectl"):
        return False
    command = ["kubectl", "version", "--client", "--output", "json"]
    minor = re.search(r'"minor": "(\d+)', subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    return minor is not None and int(minor[1]) >= 21


needs_kustomize = pytest.mark.skipif(not _has_kustomize(), reason="kubectl 1.21 or newer (kustomize) is not installed")


def render(overlay: Path) -> list[Manifest]:
    text = subprocess.run(
        ["kubectl", "kustomize", str(overlay)], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    rendered = list(yaml.safe_load_all(text))
    for manifest in rendered:
        if not manifest["apiVersion"].startswith(OPERATORS):
            kubernetes_validate.validate(manifest, RELEASES[-1], strict=True)
    return rendered


@needs_kustomize
@pytest.mark.parametrize(
    ("component", "key", "parts"),
    [("mail", "smtp_password", {"relay"}), ("push", "vapid_private_key", {"handlers", "relay"})],
)
def test_a_component_gives_a_secret_to_who_uses_it(tmp_path: Path, component: str, key: str, parts: set[str]) -> None:
    above = os.path.relpath(KUBERNETES, tmp_path)
    overlay = {"resources": [f"{above}/base"], "components": [f"{above}/components/{component}"]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    file, users = {"name": f"{key.upper()}_FILE", "value": f"/run/secrets/shirase/{key}"}, set()
    for manifest in render(tmp_path):
        spec = manifest.get("spec", {}).get("template", {}).get("spec", {})
        (secrets,) = [volume["secret"] for volume in spec.get("volumes", []) if "secret" in volume] or [{"items": []}]
        is_used = any(file in container["env"] for container in spec.get("containers", []))
        assert ({"key": key, "path": key} in secrets["items"]) is is_used
        if is_used:
            users.add(manifest["metadata"]["labels"][PART])
    assert users == parts


def test_only_relays_reach_the_internet() -> None:
    inside, outside = manifests(KUBERNETES / "components/egress/policies.yaml")
    assert outside["spec"]["podSelector"]["matchExpressions"] == [{"key": PART, "operator": "In", "values": ["relay"]}]
    assert set(inside["spec"]["podSelector"]["matchExpressions"][0]["values"]) == set(WORKLOADS) - {"node"}
    for policy in (inside, outside):
        kubernetes_validate.validate(policy, RELEASES[0], strict=True)
    (rule,) = outside["spec"]["egress"]
    assert {port["port"] for port in rule["ports"]} == {443, 465, 587}
    closed = [network for peer in rule["to"] for network in map(ip_network, peer["ipBlock"]["except"])]
    for address in ("10.1.2.3", "192.168.1.1", "169.254.169.254", "127.0.0.1", "fd00::1", "fe80::1"):
        assert any(ip_address(address) in network for network in closed), address


@needs_kustomize
@pytest.mark.parametrize("overlay", ["base", "example"])
def test_kustomize_renders_it_and_schemas_accept_it(overlay: str) -> None:
    rendered = render(KUBERNETES / overlay)
    if overlay == "example":
        _check_example({(manifest["kind"], manifest["metadata"]["name"]): manifest for manifest in rendered}, rendered)


def _check_example(by_name: Mapping[tuple[str, str], Manifest], rendered: list[Manifest]) -> None:
    assert {manifest["metadata"]["namespace"] for manifest in rendered} == {"shirase"}
    for kind, name in (("StatefulSet", "shirase-node"), ("Deployment", "shirase-handlers")):
        assert "replicas" not in by_name[kind, name]["spec"], "the autoscaler owns it"
    assert (
        by_name["ConfigMap", "shirase-dashboard"]["data"]["dashboard.json"]
        == (ROOT / "deploy/monitoring/dashboard.json").read_text()
    )
    assert ("PrometheusRule", "shirase") in by_name
    used = {
        each["configMapRef"]["name"]
        for manifest in rendered
        if "template" in manifest.get("spec", {})
        for container in manifest["spec"]["template"]["spec"]["containers"]
        for each in container.get("envFrom", [])
    }
    assert used <= {name for kind, name in by_name if kind == "ConfigMap"}
    backends = [
        path["backend"]["service"]
        for rule in by_name["Ingress", "shirase"]["spec"]["rules"]
        for path in rule["http"]["paths"]
    ]
    for backend in backends:
        named = {port["name"] for port in by_name["Service", backend["name"]]["spec"]["ports"]}
        assert backend["port"]["name"] in named
