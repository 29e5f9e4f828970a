"""`deploy/kubernetes`, as far as that goes without a cluster: definitions, names, commands."""

import copy
import json
import urllib.request

import jsonschema
import pytest
import yaml
from deployments import DEPLOY, KINDS
from schemas import read_object_schema

FOLDER = DEPLOY / "kubernetes"

MANIFESTS = ("cluster.yaml", "job.yaml", "autoscaler.yaml")

pytestmark = pytest.mark.timeout(600)


def read(name):
    return yaml.safe_load((FOLDER / name).read_text("utf-8"))


def validate(manifest):
    version = manifest["apiVersion"].rpartition("/")[2]
    schema = read_object_schema(manifest["kind"], version)
    jsonschema.Draft202012Validator(schema).validate(manifest)


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_manifest_is_what_the_operator_knows(name):
    validate(read(name))


def list_objects(value, path=()):
    """Return the paths of all objects in a manifest below its specification."""
    if isinstance(value, dict):
        yield path
        for key, inner in value.items():
            yield from list_objects(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from list_objects(inner, (*path, number))


FREE_KEYS = ("selector", "requests", "limits", "metadata")
"""Objects whose keys are names that users choose."""


@pytest.mark.parametrize("name", MANIFESTS)
def test_an_unknown_key_is_refused_wherever_it_is(name):
    manifest = read(name)
    paths = [path for path in list_objects(manifest) if not set(path) & set(FREE_KEYS)]
    assert len(paths) >= 2
    for path in paths:
        wrong = copy.deepcopy(manifest)
        place = wrong
        for step in path:
            place = place[step]
        place["replica"] = 2
        with pytest.raises(jsonschema.ValidationError, match="'replica' was unexpected"):
            validate(wrong)


def test_a_missing_key_and_a_wrong_type_are_refused():
    manifest = read("autoscaler.yaml")
    for change in ({"minimum": "2"}, {"minimum": None}):
        with pytest.raises(jsonschema.ValidationError):
            validate(manifest | {"spec": manifest["spec"] | change})
    del manifest["spec"]["cluster"]
    with pytest.raises(jsonschema.ValidationError, match="'cluster' is a required property"):
        validate(manifest)


def list_pods(value):
    """Return every specification of a pod in a manifest."""
    if isinstance(value, dict):
        if "containers" in value:
            yield value
        for inner in value.values():
            yield from list_pods(inner)


@pytest.mark.parametrize(("name", "count"), [("cluster.yaml", 2), ("job.yaml", 3)])
def test_every_pod_is_a_plain_user_and_mounts_what_it_has(name, count):
    pods = list(list_pods(read(name)))
    assert len(pods) == count
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in (*pod["containers"], *pod.get("initContainers", ())):
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            assert container["image"] == "dask-quant:0.1.0"


def read_cluster(name):
    """Return the name of a cluster that a manifest makes, and its specification."""
    manifest = read(name)
    spec = manifest["spec"]
    return manifest["metadata"]["name"], spec if "worker" in spec else spec["cluster"]["spec"]


@pytest.mark.parametrize("name", ["cluster.yaml", "job.yaml"])
def test_the_service_leads_to_the_scheduler_that_workers_are_told(name):
    cluster, spec = read_cluster(name)
    assert spec["scheduler"]["service"]["selector"]["dask.org/cluster-name"] == cluster
    (worker,) = spec["worker"]["spec"]["containers"]
    told = {each["name"]: each["value"] for each in worker["env"]}
    assert told["DASK_SCHEDULER_ADDRESS"] == f"tls://{cluster}-scheduler:8786"


def test_the_clusters_of_both_files_differ_in_their_names_alone():
    (first, one), (second, other) = read_cluster("cluster.yaml"), read_cluster("job.yaml")
    assert json.loads(json.dumps(other).replace(second, first)) == one
    assert read("autoscaler.yaml")["spec"]["cluster"] == first


def test_the_commands_write_what_threads_write_and_the_operator_is_answered(
    needs, assert_same, tmp_path
):
    needs("kubernetes-commands")
    with KINDS["kubernetes-commands"].start(tmp_path) as deployment:
        assert_same(deployment)
        port = deployment.processes.dashboard_port
        for path in ("health", "api/v1/adaptive_target", "api/v1/check_idle"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=30) as answer:
                assert answer.status == 200


def test_values_of_the_chart_name_the_same_image_and_open_no_door():
    values = yaml.safe_load((DEPLOY / "helm" / "values.yaml").read_text("utf-8"))
    for name in ("scheduler", "worker"):
        image = values[name]["image"]
        assert f"{image['repository']}:{image['tag']}" == "dask-quant:0.1.0"
    assert values["scheduler"]["serviceType"] == "ClusterIP"
