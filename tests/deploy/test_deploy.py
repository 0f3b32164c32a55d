"""The files for a fleet: Kubernetes takes the manifests, and every metric that is graphed is one the daemon exposes."""

from __future__ import annotations

import copy
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from prometheus_client import CollectorRegistry

from townsfolk.config import Settings
from townsfolk.daemon.metrics import TurnMetrics, metrics_of
from townsfolk.dialogue.events import FallbackReason, FinishReason, TurnFailed, TurnFinished, TurnStats
from townsfolk.errors import Unavailable
from townsfolk.v1 import daemon_pb2

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
MANIFESTS: list[dict[str, Any]] = list(
    yaml.safe_load_all((DEPLOY / "kubernetes" / "townsfolk.yaml").read_text("utf-8"))
)
KUBERNETES = "1.30"
METRIC = re.compile(r"\btownsfolk_\w+")


def manifest(kind: str) -> dict[str, Any]:
    (found,) = (document for document in MANIFESTS if document["kind"] == kind)
    return found


def exposed_metrics() -> set[str]:
    registry = CollectorRegistry()
    turns = TurnMetrics(registry)
    turns.observe(TurnFinished(FinishReason.STOP, "", TurnStats(completion_tokens=2, tokens_per_s=1.0)))
    turns.observe(TurnFinished(FinishReason.STOP, "", TurnStats(), FallbackReason.BUSY))
    turns.observe(TurnFailed(Unavailable("gone")))
    stats = daemon_pb2.GetStatsResponse()
    stats.engine.step_histogram.add(adapters_in_step=2, steps=3)
    families = [*registry.collect(), *metrics_of(stats)]
    return {sample.name for family in families for sample in family.samples}


@pytest.mark.parametrize("document", MANIFESTS, ids=lambda document: document["kind"])
def test_kubernetes_takes_the_manifest(document: dict[str, Any]) -> None:
    kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_the_validator_sees_a_misspelt_field() -> None:
    broken = copy.deepcopy(manifest("Deployment"))
    broken["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, KUBERNETES, strict=True)


def test_the_patch_for_a_card_fits_the_deployment() -> None:
    patch = yaml.safe_load((DEPLOY / "kubernetes" / "gpu.yaml").read_text("utf-8"))
    patched = copy.deepcopy(manifest("Deployment"))
    pod, wanted = patched["spec"]["template"]["spec"], patch["spec"]["template"]["spec"]
    (daemon,), (change,) = pod["containers"], wanted.pop("containers")
    assert daemon["name"] == change["name"]
    pod.update(wanted)
    daemon["resources"]["limits"].update(change["resources"]["limits"])
    kubernetes_validate.validate(patched, KUBERNETES, strict=True)


def test_the_daemon_takes_its_settings() -> None:
    settings = Settings.model_validate(tomllib.loads(manifest("ConfigMap")["data"]["townsfolk.toml"]))
    spec = manifest("Deployment")["spec"]["template"]["spec"]
    (daemon,) = spec["containers"]
    ports = {port["name"]: port["containerPort"] for port in daemon["ports"]}
    assert settings.daemon.address == f"0.0.0.0:{ports['grpc']}"
    assert settings.daemon.metrics_address == f"0.0.0.0:{ports['metrics']}"
    assert settings.daemon.drain_grace_s < spec["terminationGracePeriodSeconds"]
    assert str(settings.engine.threads) == daemon["resources"]["requests"]["cpu"]
    mounts = [Path(mount["mountPath"]) for mount in daemon["volumeMounts"]]
    needed = [
        settings.daemon.tls_certificate,
        settings.daemon.tls_key,
        settings.daemon.token_file,
        settings.engine.model,
    ]
    for path in (*needed, *settings.personas.folders):
        assert path is not None
        assert any(path.is_relative_to(mount) for mount in mounts), f"{path} is on no volume"
    assert {volume["name"] for volume in spec["volumes"]} == {mount["name"] for mount in daemon["volumeMounts"]}


def test_every_part_means_the_same_pods() -> None:
    labels = manifest("Deployment")["spec"]["template"]["metadata"]["labels"]
    assert manifest("Service")["spec"]["selector"] == labels
    for kind, field in (
        ("Deployment", "selector"),
        ("PodDisruptionBudget", "selector"),
        ("NetworkPolicy", "podSelector"),
    ):
        assert manifest(kind)["spec"][field]["matchLabels"] == labels


@pytest.mark.parametrize("name", ["grafana.json", "alerts.yml", "kubernetes/townsfolk.yaml"])
def test_every_metric_in_it_is_one_that_the_daemon_exposes(name: str) -> None:
    text = (DEPLOY / name).read_text("utf-8")
    used = set(METRIC.findall(text))
    assert used
    assert used - exposed_metrics() == set()


def test_every_metric_is_graphed() -> None:
    suffix = re.compile(r"_(sum|count|bucket|total|created)$")
    shown = {suffix.sub("", name) for name in METRIC.findall((DEPLOY / "grafana.json").read_text("utf-8"))}
    exposed = {suffix.sub("", name) for name in exposed_metrics()}
    assert exposed - shown == {"townsfolk_uptime_seconds", "townsfolk_prefix_cache_tokens"}


def test_the_dashboard_has_a_panel_for_each_question() -> None:
    dashboard = json.loads((DEPLOY / "grafana.json").read_text("utf-8"))
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) >= 10
    for panel in panels:
        assert panel["title"]
        assert all(target["expr"] and target["legendFormat"] for target in panel["targets"])
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)


def test_alerts_say_what_is_wrong() -> None:
    (group,) = yaml.safe_load((DEPLOY / "alerts.yml").read_text("utf-8"))["groups"]
    for rule in group["rules"]:
        assert rule["expr"]
        assert len(rule["annotations"]["summary"]) > 20
    (job,) = yaml.safe_load((DEPLOY / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    assert job["kubernetes_sd_configs"][0]["namespaces"]["names"] == [manifest("Deployment")["metadata"]["namespace"]]
