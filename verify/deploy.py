"""Holds deploy/ against what others say of such files, and against what is in the repository.

Where there is no Docker, this is all that can be said of it: the compose file is one by the Compose
specification, hadolint finds nothing in the Dockerfile, every path that they name is there, and the program
takes the configurations.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import yaml
from compose_spec import ComposeSpecification

DEPLOY = Path("deploy")


def compose(pom: str) -> None:
    file = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    ComposeSpecification.model_validate(file)
    for name, service in file["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            known = (DEPLOY / source).exists() if source.startswith(".") else source in file["volumes"]
            assert known, f"{name}: {source} is not there"
        for needed in service.get("depends_on", {}):
            assert "healthcheck" in file["services"][needed], f"{name}: nobody sees whether {needed} is well"
        if build := service.get("build"):
            assert (DEPLOY / build["context"] / build["dockerfile"]).exists(), name
    version = re.search(r"<kafka\.version>(.*)</kafka\.version>", pom)[1]
    assert file["services"]["kafka"]["image"] == f"apache/kafka:{version}", "not the Kafka that is tested with"


def dockerfile() -> None:
    file = DEPLOY / "Dockerfile"
    subprocess.run([Path(sys.executable).parent / "hadolint", file], check=True)
    let_in = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    for names in re.findall(r"^COPY (?!--)(.*) \S+$", file.read_text(), re.MULTILINE):
        for name in names.split():
            assert Path(name).exists() and name in let_in, f"{name} does not reach the build"


def takes(offkey: str, config: Path) -> None:
    secrets = {"HR_SECRET": "whsec_" + "MDEy" * 8, "DEEPGRAM_API_KEY": "not-a-secret"}
    command = [offkey, "--config", config, "check-config"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | secrets)


def kubernetes(offkey: str, place: Path) -> None:
    objects = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()))
    config = next(one for one in objects if one["kind"] == "ConfigMap")
    file = place / "kubernetes.toml"
    file.write_text(config["data"]["offkey.toml"])
    takes(offkey, file)


def main() -> None:
    offkey, place = sys.argv[1], Path(sys.argv[2])
    compose(Path("kafka/pom.xml").read_text())
    dockerfile()
    takes(offkey, DEPLOY / "offkey.kafka.toml")
    kubernetes(offkey, place)
    print("verify: deploy/ holds")


main()
