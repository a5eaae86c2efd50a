"""A Docker engine, where one answers, and what its command line says."""

import os
import shutil
import subprocess
from typing import Final

from tests.e2e.installation import ROOT

PYTHON_IMAGE: Final = "python:3.13-slim"
POSTGRES_IMAGE: Final = "postgres:18"
STAND_INS: Final = "no registry answers; .ci/base-images makes stand-ins"


def docker(*arguments: str, environment: dict[str, str] | None = None, check: bool = True) -> str:
    return _run(["docker", *arguments], environment, check=check)


def compose(project: str, *arguments: str, environment: dict[str, str]) -> str:
    return _run(
        [*_compose(), "--file", str(ROOT / "compose.yaml"), "--project-name", project, *arguments],
        environment,
    )


def _run(argv: list[str], environment: dict[str, str] | None, *, check: bool = True) -> str:
    done = subprocess.run(
        argv,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0 or not check, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def _succeeds(*argv: str) -> bool:
    return subprocess.run(argv, capture_output=True, check=False, timeout=120).returncode == 0


def _compose() -> list[str]:
    if _succeeds("docker", "compose", "version"):
        return ["docker", "compose"]
    return ["docker-compose"]


def why_not(*images: str) -> str | None:
    """Why nothing can be run in containers of these images here; None if it can."""
    if shutil.which("docker") is None or not _succeeds("docker", "info"):
        return "no Docker engine answers here"
    if not _succeeds(*_compose(), "version"):
        return "docker compose is not installed"
    for image in images:
        if not _succeeds("docker", "image", "inspect", image) and not _succeeds("docker", "pull", image):
            return f"there is no image {image}: {STAND_INS}"
    return None
