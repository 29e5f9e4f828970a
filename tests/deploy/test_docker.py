"""`deploy/docker`, as far as that goes without an engine: schema, names, and what would be run."""

import copy
import os
import re
import subprocess

import jsonschema
import pytest
from containers import Container, compose_containers, read_compose, translate
from deployments import DEPLOY, KINDS, certificate_files
from schemas import read_compose_schema

COMPOSE = DEPLOY / "docker" / "compose.yaml"

DOCKERFILE = DEPLOY / "docker" / "Dockerfile"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def compose():
    return read_compose(COMPOSE)


@pytest.fixture(scope="module")
def validate():
    schema = read_compose_schema()
    judge = jsonschema.validators.validator_for(schema)
    judge.check_schema(schema)
    return judge(schema).validate


def test_the_file_keeps_the_specification(compose, validate):
    validate(compose)


@pytest.mark.parametrize(
    "change",
    [
        lambda services: services["worker"].update(commands=["true"]),
        lambda services: services["worker"]["deploy"].update(replicas=[2]),
        lambda services: services["scheduler"]["healthcheck"].update(every="10s"),
    ],
)
def test_what_the_specification_does_not_know_is_found(compose, validate, change):
    wrong = copy.deepcopy(compose)
    change(wrong["services"])
    with pytest.raises(jsonschema.ValidationError):
        validate(wrong)


def test_every_name_leads_somewhere(compose):
    used = {name for service in compose["services"].values() for name in service["secrets"]}
    assert used == set(compose["secrets"])
    networks = {name for service in compose["services"].values() for name in service["networks"]}
    assert networks == set(compose["networks"])
    needed = {name for each in compose["services"].values() for name in each.get("depends_on", ())}
    assert needed <= set(compose["services"])
    for service in compose["services"].values():
        context = (COMPOSE.parent / service["build"]["context"]).resolve()
        assert (context / service["build"]["dockerfile"]).resolve() == DOCKERFILE


def test_secrets_are_what_the_script_of_certificates_writes(compose, tmp_path, needs):
    needs("tls")
    names = {path.name for path in certificate_files(tmp_path).values()}
    assert {each["file"].rpartition("/")[2] for each in compose["secrets"].values()} == names
    assert "ca-key" not in compose["secrets"]


def test_only_loopback_leads_in(compose):
    ports = [port for each in compose["services"].values() for port in each.get("ports", ())]
    assert ports == ["127.0.0.1:8786:8786", "127.0.0.1:8787:8787"]


def read_instructions(text):
    """Return the instructions of a Dockerfile and their arguments."""
    lines = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", text)).splitlines()
    return [tuple(line.split(None, 1)) for line in lines if line.strip()]


def test_the_image_holds_what_the_build_needs_and_runs_as_a_user():
    instructions = read_instructions(DOCKERFILE.read_text())
    known = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "CMD"}
    assert {name for name, _ in instructions} <= known
    assert instructions[0][0] == "FROM"
    assert [value for name, value in instructions if name == "USER"][-1] == "1000:1000"
    root = DEPLOY.parent
    copied = [word for name, value in instructions if name == "COPY" for word in value.split()[:-1]]
    assert all((root / path).exists() for path in copied)
    let_in = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text()
    allowed = {line[1:] for line in let_in.splitlines() if line.startswith("!")}
    assert {path.split("/")[0] for path in copied} == allowed


def test_the_commands_write_what_threads_write_and_the_scheduler_says_that_it_is_well(
    needs, assert_same, compose, tmp_path
):
    needs("docker-commands")
    with KINDS["docker-commands"].start(tmp_path) as deployment:
        assert_same(deployment)
        kind, *command = compose["services"]["scheduler"]["healthcheck"]["test"]
        assert kind == "CMD"
        check, _ = translate(Container(command, {}), deployment.processes.replace)
        subprocess.run(check, check=True, timeout=60)
    with pytest.raises(subprocess.CalledProcessError):
        subprocess.run(check, check=True, timeout=60, capture_output=True)


def test_the_job_is_a_command_that_there_is(tmp_path):
    job = compose_containers(COMPOSE)["job"]
    command, _ = translate(job, {})
    done = subprocess.run(
        [*command, "--help"], env=dict(os.environ), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0
