"""The catalogue of types: payloads against their schemas, and the types that are written from them."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from shirase.access import tokens
from shirase.catalogue import Catalogue
from shirase.errors import Invalid, SettingsError
from shirase.flask.app import create_app
from shirase.run.cli import main
from shirase.run.payload_types import python, typescript
from shirase.settings import Settings

CATALOGUE = """
[types."interview.scheduled"]
label = "Interviews"

[types."interview.scheduled".payload]
type = "object"
required = ["room"]
additionalProperties = false
properties.room.type = "string"
properties.minutes.type = "integer"
properties.class = { enum = ["a", 1] }
properties.guests.type = "array"
properties.guests.items = { type = "object", required = ["name"], properties.name.type = "string" }
properties.link = { anyOf = [{ type = "string" }, { type = "null" }] }

[types."bare"]
label = "No schema"
"""


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    path = tmp_path / "types.toml"
    path.write_text(CATALOGUE)
    return path


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({}, "payload"),
        ({"room": 7}, "payload.room"),
        ({"room": "Sakura", "minutes": "45"}, "payload.minutes"),
        ({"room": "Sakura", "guests": [{"name": "Ann"}, {"name": 1}]}, "payload.guests.1.name"),
        ({"room": "Sakura", "other": 1}, "payload"),
    ],
)
def test_a_payload_against_its_schema_names_the_field(catalogue: Path, payload: dict[str, object], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        Catalogue.read(catalogue).check("interview.scheduled", payload)
    assert [error.field for error in caught.value.errors] == [field]


def test_types_without_a_schema_may_have_any_payload(catalogue: Path) -> None:
    for name in ("bare", "unknown"):
        Catalogue.read(catalogue).check(name, {"anything": [1, None]})


@pytest.mark.parametrize(
    "text",
    [
        "types = 1",
        "[types.'not a type']",
        "[types.a]\nlabel = 1",
        "[types.a]\nlabels = 'x'",
        "[types.a.payload]\ntype = 'array'",
        "[types.a.payload]\ntype = 'object'\nproperties.a.type = 'what'",
        "[types.a.payload]\ntype = 'object'\nproperties.a.pattern = '('",
        "[types.a.payload]\ntype = 'object'\nproperties.a.'$ref' = 'http://127.0.0.1:9/x'",
        "[types.a.payload]\ntype = 'object'\nproperties.a.'$ref' = 'file:///etc/passwd'",
        "[types.a.payload]\ntype = 'object'\nproperties.a.maximum = inf",
        "[types.a.payload]\ntype = 'object'\nproperties.a.enum = [nan]",
        "[types.a.payload]\ntype = 'object'\nproperties.a.minLength = 1e400",
        "[types.a.payload]\ntype = 'object'\nproperties.a.multipleOf = 0",
        "[types.a.payload]\ntype = 'object'\nanyOf = [{ properties.a.multipleOf = -0.5 }]",
        f"types.a.channels = {'[' * 5000}{']' * 5000}",
        f"[types.a.payload]\ntype = 'object'\nx = {'[' * 250}{']' * 250}",
        f"[types.a.payload]\ntype = 'object'\nproperties = {'{ x = { properties = ' * 60}{{}}{'} }' * 60}",
        "[types.a.payload]\ntype = 'object'\nproperties = []",
        "[types.a.payload]\ntype = 'object'\n'$ref' = '#'",
        "[types.a.payload]\ntype = 'object'\nallOf = [{ '$ref' = '#' }]",
        "no toml",
    ],
)
def test_a_wrong_catalogue_stops_the_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "types.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match="TYPE_CATALOGUE"):
        Catalogue.read(path)


def test_a_name_twice_in_a_json_catalogue_stops_the_start(tmp_path: Path) -> None:
    path = tmp_path / "types.json"
    path.write_text('{"types": {"a": {"critical": true}, "a": {}}}')
    with pytest.raises(SettingsError, match="'a' is given twice"):
        Catalogue.read(path)


def test_a_payload_is_refused_where_its_schema_never_ends(tmp_path: Path) -> None:
    path = tmp_path / "types.toml"
    path.write_text(
        "[types.a.payload]\ntype = 'object'\nproperties.x.'$ref' = '#/definitions/y'\n"
        "definitions.y.allOf = [{ '$ref' = '#/definitions/y' }]"
    )
    catalogue = Catalogue.read(path)
    catalogue.check("a", {})
    with pytest.raises(Invalid, match="without an end"):
        catalogue.check("a", {"x": 1})


def test_a_date_in_a_schema_is_its_text(tmp_path: Path) -> None:
    path = tmp_path / "types.toml"
    path.write_text("[types.a.payload]\ntype = 'object'\nproperties.day.enum = [2026-12-24]\n")
    read = Catalogue.read(path)
    read.check("a", {"day": "2026-12-24"})
    with pytest.raises(Invalid):
        read.check("a", {"day": "2026-12-25"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[types.a.b]\nlabel = 'A'", 'types."a".b is unknown; .*; if the type is a.b, put it in quotes'),
        (
            "[types.'a.b']\nchannels = [{ channel = 'email', after = '10min' }]",
            r'types."a.b".channels\[0\].after: must be a number and a unit',
        ),
    ],
)
def test_the_error_of_a_catalogue_names_the_remedy(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "types.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message):
        Catalogue.read(path)


@pytest.mark.parametrize("wrong", ["label = 'A\\u0000'", "category = 'not one'", f"label = '{'x' * 101}'"])
def test_a_catalogue_is_loaded_as_a_whole_or_not_at_all(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "types.toml"
    path.write_text(
        f"[types.a]\nlabel = 'A'\nchannels = [{{ channel = 'email' }}]\n[types.b]\n{wrong}\n".replace("'", '"')
    )
    nowhere = ["--url", "http://127.0.0.1:1", "--token", "none"]  # nothing is asked
    answer = CliRunner().invoke(main, ["types", "load", str(path), *nowhere, "--data-dir", str(tmp_path)])
    assert answer.exit_code == 2
    assert 'types."b"' in answer.output
    assert wrong.partition(" ")[0] in answer.output


def test_the_python_types_are_python(catalogue: Path, tmp_path: Path) -> None:
    written = tmp_path / "payloads.py"
    written.write_text(python(Catalogue.read(catalogue)) + "\n\none: InterviewScheduled = {'room': 'Sakura'}\n")
    subprocess.run([sys.executable, str(written)], check=True)
    assert "'guests': NotRequired[list[InterviewScheduledGuestsItem]]" in written.read_text()


def test_the_typescript_declares_payloads(catalogue: Path) -> None:
    text = typescript(Catalogue.read(catalogue))
    assert '"interview.scheduled": { "room": string; "minutes"?: number; "class"?: "a" | 1; ' in text
    assert '"guests"?: { "name": string; }[]; "link"?: string | null; };' in text
    assert "bare" not in text


def test_the_command_writes_both(catalogue: Path, tmp_path: Path) -> None:
    there = [tmp_path / "payloads.d.ts", tmp_path / "payloads.py"]
    command = ["types", "write", str(catalogue), "--typescript", str(there[0]), "--python", str(there[1])]
    assert CliRunner().invoke(main, command).exit_code == 0
    assert all(path.stat().st_size > 100 for path in there)


def test_a_payload_against_its_schema_is_a_422(settings: Settings, catalogue: Path) -> None:
    app = create_app(replace(settings, type_catalogue=Catalogue.read(catalogue)))
    headers = {"Authorization": f"Bearer {tokens.mint(settings, 'producer', scope=tokens.WRITE)}"}
    wrong = {"user_id": "aiko", "type": "interview.scheduled", "title": "T", "message": "", "payload": {"room": 1}}
    good = {**wrong, "payload": {"room": "Sakura"}}
    later = {**wrong, "send_at": "2099-01-01T00:00:00Z"}
    several = {key: value for key, value in wrong.items() if key != "user_id"} | {"user_ids": ["aiko", "ben"]}
    announced = {key: value for key, value in wrong.items() if key != "user_id"} | {"topic": "everyone"}
    client = app.test_client()
    announced = {key: value for key, value in wrong.items() if key != "user_id"} | {"topic": "everyone"}
    assert client.post("/api/announcements", json=announced, headers=headers).status_code == 422
    for method, path, body, name in (
        ("POST", "", wrong, "payload.room"),
        ("POST", "", later, "payload.room"),
        ("PUT", "/keys/k", wrong, "payload.room"),
        ("POST", "/batch", {"notifications": [good, wrong]}, "notifications.1.payload.room"),
        ("POST", "/broadcast", several, "payload.room"),
        ("POST", "/../announcements", announced, "payload.room"),
        ("POST", "/../announcements", {**announced, "send_at": later["send_at"]}, "payload.room"),
    ):
        address = f"/api/notifications{path}".replace("/notifications/..", "")
        answer = client.open(address, method=method, json=body, headers=headers)
        assert (answer.status_code, [error["field"] for error in (answer.json or {})["errors"]]) == (422, [name]), path
    mine = {"Authorization": f"Bearer {tokens.mint(settings, 'aiko')}"}
    assert client.get("/api/notifications", headers=mine).get_json()["notifications"] == []
    assert client.post("/api/notifications", json=good, headers=headers).status_code == 201
    app.extensions["shirase"].database.close()
