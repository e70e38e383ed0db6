"""The Kubernetes profile, image recipe and job template, as far as they can be tried without a cluster.

The profile runs against a stand-in for the API, whose pods are processes in empty folders and know S3 alone.
"""

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from kubernetes.client import ApiClient

from tests.cluster.kubernetes_api import Cluster
from tests.workflow.conftest import ROOT, SMALL, Project
from tests.workflow.test_killed import digests

PROFILE = ROOT / "workflow/profiles/kubernetes"
RECIPE = (ROOT / "workflow/container/Containerfile").read_text(encoding="utf-8")
MANIFESTS = list(yaml.safe_load_all((PROFILE / "job.yaml").read_text(encoding="utf-8")))
CONFIG = yaml.safe_load((PROFILE / "config.yaml").read_text(encoding="utf-8"))


def manifest(kind: str) -> dict[str, Any]:
    """The one manifest of a kind."""
    (found,) = (document for document in MANIFESTS if document["kind"] == kind)
    return found


def unread(given: Any, read: Any, path: str = "") -> list[str]:
    """What of a manifest the API's model does not know, and would drop."""
    if isinstance(given, dict) and isinstance(read, dict):
        return [bad for key in given for bad in (unread(given[key], read.get(key), f"{path}.{key}"))]
    if isinstance(given, list) and isinstance(read, list):
        return [bad for a, b in zip(given, read, strict=True) for bad in unread(a, b, f"{path}[]")]
    return [] if given == read else [path]


@pytest.mark.parametrize("document", MANIFESTS, ids=lambda document: document["kind"])
def test_the_api_reads_every_field_of_the_manifests(document):
    client = ApiClient()
    model = client.deserialize(SimpleNamespace(data=json.dumps(document)), f"V1{document['kind']}")
    assert unread(document, client.sanitize_for_serialization(model)) == []


def test_a_field_that_the_api_does_not_know_is_found():
    document = manifest("ServiceAccount") | {"automount": True}
    client = ApiClient()
    model = client.deserialize(SimpleNamespace(data=json.dumps(document)), "V1ServiceAccount")
    assert unread(document, client.sanitize_for_serialization(model)) == [".automount"]


def test_profile_manifests_and_image_name_the_same_things():
    pod = manifest("Job")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == CONFIG["container-image"]
    assert {document["metadata"]["namespace"] for document in MANIFESTS} == {CONFIG["kubernetes-namespace"]}
    assert pod["serviceAccountName"] == CONFIG["kubernetes-service-account-name"]
    claim, path = CONFIG["kubernetes-persistent-volumes"][0].split(":")
    assert claim == manifest("PersistentVolumeClaim")["metadata"]["name"]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert {v["persistentVolumeClaim"]["claimName"]: mounted[v["name"]] for v in pod["volumes"]} == {claim: path}
    assert f"PLANEDICT_CACHE={path}" in RECIPE
    assert f"WORKDIR {container['workingDir']}\n" in RECIPE
    assert f"USER {pod['securityContext']['runAsUser']}\n" in RECIPE
    named = re.findall(r"=(workflow/\S+?);?\s", container["args"][0])
    assert len(named) == 2 and all((ROOT / name).exists() for name in named)


def test_the_image_copies_what_is_there_and_installs_only_what_is_locked():
    lines = re.sub(r"\\\n", " ", RECIPE).splitlines()
    copied = [name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]]
    assert copied and all((ROOT / name).exists() for name in copied)
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages - {"tests", "benchmarks"} <= set(copied)
    installs = [line for line in lines if re.match("RUN .*pip (install|download)", line)]
    assert len(installs) == 2 and all("--no-deps --require-hashes" in line for line in installs)
    assert "://" not in RECIPE


@pytest.mark.chain
@pytest.mark.timeout(900)
def test_the_profile_makes_the_shards_in_pods(bucket, small_config, small, tmp_path, monkeypatch):
    pods = tmp_path / "pods"
    pods.mkdir()
    cluster = Cluster(pods, ROOT)
    monkeypatch.setenv("KUBECONFIG", str(cluster.configuration()))
    project = Project(tmp_path / "project", small_config)
    inside = project.folder / "small.yaml"
    inside.write_text(Path(small_config).read_text(encoding="utf-8"), encoding="utf-8")
    project.config = "small.yaml"
    profile = ("--profile", "workflow/profiles/kubernetes")
    # As in job.yaml: what leaves a folder runs here.
    project.run(SMALL[0], options=(*profile, "--executor", "local", "--until", "fetch_clips"))
    assert not cluster.bodies
    project.run(SMALL[0], options=(*profile, "--seconds-between-status-checks", "1"))
    assert digests(small.folder).keys() <= {item.key for item in bucket.objects.all()}
    shard = "data/mini/shards/00000.tar"
    assert bucket.Object(shard).get()["Body"].read() == (small.folder / shard).read_bytes()
    bodies = list(cluster.bodies.values())
    # The shard and the account.
    assert len(bodies) == 2
    for body in bodies:
        pod = body["spec"]["template"]["spec"]
        assert pod["serviceAccountName"] == "planedict"
        assert pod["containers"][0]["image"] == CONFIG["container-image"]
        assert {"name": "planedict-cache", "mountPath": "/cache"} in pod["containers"][0]["volumeMounts"]
