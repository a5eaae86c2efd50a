import asyncio
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from domain.access import Scope
from entrypoints.http.app import HttpConfig
from entrypoints.http.deprecation import POLICY
from entrypoints.http.problem_pages import every_error
from entrypoints.http.server import HttpServer
from entrypoints.http.versioning import NOTICE_MONTHS
from tests.integration.http.api import Api, document

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for held in value.values():
            yield from references(held)
    elif isinstance(value, list):
        for held in value:
            yield from references(held)


async def test_the_document_is_served_without_a_key(api: Api) -> None:
    served = (await (await api.client()).get("/api/openapi.json")).json()
    assert served == json.loads(json.dumps(document()))
    assert served["openapi"].startswith("3.1")


def test_every_schema_is_a_valid_json_schema_and_every_reference_leads_somewhere() -> None:
    schemas = document()["components"]["schemas"]
    for name, schema in schemas.items():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})
        assert schema["description"], name
    for reference in references(document()):
        start, components, kind, name = reference.split("/")
        assert (start, components) == ("#", "components")
        assert name in document()["components"][kind], reference


def test_every_operation_is_described_whole() -> None:
    ids = [operation["operationId"] for _, _, operation in operations()]
    assert len(ids) == len(set(ids)) == 27
    for path, method, operation in operations():
        where = f"{method} {path}"
        assert operation["summary"], where
        assert operation["description"], where
        in_path = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", path)), where
        for parameter in operation["parameters"]:
            assert parameter["description"], (where, parameter["name"])
            assert fits_its_examples(parameter["schema"]), (where, parameter["name"])
        assert "500" in operation["responses"], where
        if operation["security"]:
            assert {"401", "403", "400"} <= set(operation["responses"]), where
            assert "Scope: `" in operation["description"]


def test_what_callers_send_is_closed_and_what_they_see_is_explained() -> None:
    schemas = document()["components"]["schemas"]
    for name in ("JobRequest", "BatchRequest", "Retry", "Concurrency", "QueueRequest", "KeyRequest"):
        assert schemas[name]["additionalProperties"] is False
    for name, schema in schemas.items():
        for member, shape in schema.get("properties", {}).items():
            assert shape.get("description"), f"{name}.{member}"
    assert schemas["JobRequest"]["properties"]["priority"] | {"description": ""} == {
        "type": "integer",
        "minimum": -100,
        "maximum": 100,
        "default": 0,
        "examples": [10],
        "description": "",
    }
    assert schemas["JobRequest"]["properties"]["queue"]["pattern"].endswith("$")


def test_operation_ids_read_well_in_clients() -> None:
    for path, method, operation in operations():
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", operation["operationId"]), f"{method} {path}"
        assert operation["tags"][0] in {tag["name"] for tag in document()["tags"]}


def test_every_field_has_an_example_that_fits_it() -> None:
    for name, schema in document()["components"]["schemas"].items():
        assert fits_its_examples(schema), name
        for member, shape in schema.get("properties", {}).items():
            whole = shape if "examples" in shape else {**shape, "examples": [schema["examples"][0][member]]}
            assert fits_its_examples(whole), f"{name}.{member}"


def test_every_body_has_examples_that_fit_it_and_every_header_one() -> None:
    for path, method, operation in operations():
        where = f"{method} {path}"
        for content in contents(operation):
            for example in map(resolved, content.get("examples", {}).values()):
                assert fits_its_examples({**content["schema"], "examples": [example["value"]]}), where
        if "requestBody" in operation:
            assert operation["requestBody"]["content"]["application/json"]["examples"], where
        for answer in operation["responses"].values():
            for header in map(resolved, answer["headers"].values()):
                assert header["description"], where
                assert fits_its_examples(header["schema"]), where


def test_every_problem_of_an_operation_is_shown() -> None:
    for path, method, operation in operations():
        for status, answer in operation["responses"].items():
            content = answer.get("content", {}).get("application/problem+json")
            if content is None:
                assert int(status) < 400 or path == "/health/ready", f"{method} {path}"
                continue
            shown = content["examples"]
            assert set(re.findall(r"/problems/([a-z-]+)\)", answer["description"])) == set(shown)
            assert all(resolved(problem)["value"]["status"] == int(status) for problem in shown.values())


def test_security_names_the_scheme_and_the_scope() -> None:
    schemes = document()["components"]["securitySchemes"]
    for path, method, operation in operations():
        for need in operation["security"]:
            ((scheme, scopes),) = need.items()
            assert scheme in schemes, f"{method} {path}"
            assert scopes, f"{method} {path}"
            assert set(scopes) <= set(Scope), f"{method} {path}"


@pytest.mark.parametrize(
    ("request_", "fits"),
    [
        ({"script": "a.py"}, True),
        ({"command": ["a"]}, True),
        ({"script": "a.py", "command": None}, True),
        ({}, False),
        ({"script": None, "command": None}, False),
        ({"script": "a.py", "command": ["a"]}, False),
    ],
)
def test_the_document_says_that_a_job_is_a_script_or_a_command(request_: object, fits: bool) -> None:  # noqa: FBT001 - a column of the table above
    schema = {"$ref": "#/components/schemas/JobRequest"}
    assert validator(schema).is_valid(request_) is fits


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in part:
        return part
    _, _, kind, name = part["$ref"].split("/")
    found: dict[str, Any] = document()["components"][kind][name]
    return found


def contents(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for part in (operation.get("requestBody", {}), *operation["responses"].values()):
        yield from part.get("content", {}).values()


def fits_its_examples(schema: dict[str, Any]) -> bool:
    examples = schema["examples"]
    return bool(examples) and all(validator(schema).is_valid(example) for example in examples)


def validator(schema: dict[str, Any]) -> jsonschema_rs.Validator:
    whole = {**schema, "components": document()["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def test_every_problem_that_is_named_exists() -> None:
    named = set(re.findall(r"/problems/([a-z-]+)\)", json.dumps(document())))
    assert named <= set(every_error())
    assert {
        "job-not-found",
        "schema-broken",
        "missing-scope",
        "job-is-final",
        "range-not-satisfiable",
    } <= named


async def test_the_docs_ask_no_other_server_for_anything(api: Api) -> None:
    client = await api.client()
    page = await client.get("/api/docs")
    assert page.headers["content-type"].startswith("text/html")
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert links
    for link in links:
        assert link.startswith("/api/docs/")
        asset = await client.get(link)
        assert (asset.status_code, bool(asset.content)) == (200, True)
    assert "://" not in page.text + (await client.get("/api/docs/start.js")).text
    assert "script-src 'self';" in page.headers["content-security-policy"]


@pytest.mark.parametrize(
    "name", ["swagger-ui.js.map", "LICENSE", "..", "__init__.py", "oauth2-redirect.html"]
)
async def test_only_what_the_page_needs_is_served(api: Api, name: str) -> None:
    assert (await (await api.client()).get(f"/api/docs/{name}")).status_code == 404


async def test_the_docs_may_be_switched_off_and_the_document_stays(api: Api) -> None:
    client = await api.client(config=HttpConfig(docs=False))
    assert (await client.get("/api/openapi.json")).status_code == 200
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(api.app(HttpConfig(docs=False))), base_url="http://x"
    ) as bare:
        assert (await bare.get("/api/docs")).status_code == 404


@pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine: install it to see the docs rendered"
)
async def test_a_browser_without_a_network_renders_the_docs(api: Api, tmp_path: Path) -> None:
    server = HttpServer(api.app(), "127.0.0.1", 0)
    port = await server.start()
    events = tmp_path / "net.json"
    try:
        browser = await asyncio.create_subprocess_exec(
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--no-first-run",
            "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--virtual-time-budget=20000",
            "--enable-logging=stderr",
            "--v=0",
            "--dump-dom",
            f"--log-net-log={events}",
            f"http://127.0.0.1:{port}/api/docs",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(90):
            page, said = await browser.communicate()
    finally:
        await server.stop()
    assert b"submitJob" in page or b"Submit a job" in page, said.decode()[-2000:]
    assert b"Content Security Policy" not in said
    # The browser calls its maker by itself; what the page asks for carries the page as its initiator.
    origin = f"http://127.0.0.1:{port}"
    lines = [line for line in events.read_text().splitlines() if f'"initiator":"{origin}"' in line]
    asked = {url for line in lines for url in re.findall(r'"url":"([^"]+)"', line)}
    assert f"{origin}/api/openapi.json" in asked
    assert {url for url in asked if not url.startswith(f"{origin}/")} == set()


async def test_the_policy_is_a_page_that_says_how_long_what_goes_stays(api: Api) -> None:
    page = await (await api.client()).get(POLICY)
    assert page.headers["content-type"].startswith("text/html")
    assert f"at least {NOTICE_MONTHS} months" in " ".join(page.text.split())
    assert POLICY in document()["info"]["description"]
