"""``shirase up`` at its start: what it refuses in one line, and the files that it creates."""

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shirase.access import tokens
from shirase.run.data_directory import KEYS, read_settings
from tests.support.up import BOUND, ROOT, copy_of


def test_up_without_keys_names_the_missing_setting(tmp_path: Path) -> None:
    with copy_of(tmp_path) as copy:
        assert copy.refusal() == (2, "shirase: PUSHPIN_SIG_KEY: is not set\n")
        assert not read_settings(copy.data_dir)


def test_a_demo_is_for_this_machine_alone(tmp_path: Path) -> None:
    with copy_of(tmp_path, "--demo", "--host", "0.0.0.0") as copy:  # noqa: S104 - it is refused
        assert copy.refusal() == (
            1,
            "shirase: --demo signs a token for anyone who asks: it listens on loopback only\n",
        )


def test_a_missing_pushpin_is_reported_with_the_fix(tmp_path: Path) -> None:
    with copy_of(tmp_path, "--demo", env={"PATH": str(tmp_path)}) as copy:
        code, line = copy.refusal()

    assert code == 1
    assert line.startswith("shirase: Pushpin is not installed: `make up` installs it")


def test_a_mistake_in_a_mail_template_stops_the_start(tmp_path: Path) -> None:
    """The relay alone would end, and be started again for ever, while the service is ready."""
    (tmp_path / "templates" / "ja").mkdir(parents=True)
    (tmp_path / "templates" / "ja" / "mail.txt").write_text("\n{% for n in notifications %}{{ n.title }}")
    with copy_of(tmp_path, "--demo", env={"MAIL_TEMPLATES": str(tmp_path / "templates")}) as copy:
        code, line = copy.refusal()

    assert code == 2
    assert line.startswith("shirase: MAIL_TEMPLATES: ja/mail.txt, line 2: Unexpected end of template.")


def test_an_unreachable_database_is_reported(tmp_path: Path) -> None:
    unreachable = "postgresql://user:secret@127.0.0.1:1/nothing"
    with copy_of(tmp_path, "--demo", env={"DATABASE_URL": unreachable}) as copy:
        code, line = copy.refusal()

    assert code == 1
    assert line.startswith("shirase: the database does not answer")
    assert "secret" not in line


def test_it_starts_where_tokens_are_signed_elsewhere(tmp_path: Path) -> None:
    """With only a public key nothing can sign: readiness needs no token, and commands report what they need."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    env = {"JWT_PUBLIC_KEY": public, "PUSHPIN_SIG_KEY": "k" * 32}
    with copy_of(tmp_path, env=env) as copy:
        copy.wait_ready()
        claims = {"sub": "svc", "exp": int(time.time()) + 60, "scope": tokens.WRITE}
        token = jwt.encode(claims, key, algorithm="EdDSA")
        assert copy.accepts(token)

        def shirase(*arguments: str) -> subprocess.CompletedProcess[str]:
            known = {"DATABASE_URL": "sqlite:////none.db", "GRIP_URL": "http://127.0.0.1:1", **env}
            environ = {**os.environ, **known, "SHIRASE_URL": copy.url, "PYTHONPATH": str(ROOT)}
            command = [sys.executable, "-m", "shirase", *arguments]
            return subprocess.run(
                command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=BOUND, check=False
            )

        message = ("send", "--user", "aiko", "--type", "t", "--title", "T", "--message", "M")
        for unable in (shirase("token", "--user", "aiko"), shirase(*message)):
            assert (unable.returncode, unable.stderr) == (
                2,
                "shirase: JWT_SECRET: is not set, and nothing else can sign a token: have its issuer sign one\n",
            )
        assert json.loads(shirase(*message, "--token", token).stdout)["user_id"] == "aiko"
    with copy_of(tmp_path, "--demo", env=env) as copy:
        assert copy.refusal() == (
            1,
            "shirase: --demo signs tokens, which JWT_PUBLIC_KEY does not allow: leave it out, or --demo\n",
        )


def test_generated_keys_are_readable_by_their_user_alone(tmp_path: Path) -> None:
    with copy_of(tmp_path, "--demo") as first:
        first.wait_ready()
        file = first.data_dir / "shirase.env"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        keys = {name: read_settings(first.data_dir)[name] for name in KEYS}
        token = first.token()
    with copy_of(tmp_path, "--demo") as second:
        second.wait_ready()
        assert {name: read_settings(second.data_dir)[name] for name in KEYS} == keys
        assert len(set(keys.values())) == 2
        assert second.accepts(token)


def test_the_data_is_for_its_owner_alone_whatever_was_there(tmp_path: Path) -> None:
    """With an existing directory, a world-readable old database in it, and a permissive umask."""
    before = os.umask(0)
    try:
        (tmp_path / "data").mkdir(mode=0o755)
        for name in ("shirase.db", "shirase.db-wal"):
            (tmp_path / "data" / name).touch(0o644)
        with copy_of(tmp_path, "--demo") as copy:
            copy.wait_ready()
            open_to_others = {
                str(path.relative_to(copy.data_dir))
                for path in (copy.data_dir, *copy.data_dir.rglob("*"))
                if path.exists() and path.stat().st_mode & 0o077 and not path.is_socket()
            }
    finally:
        os.umask(before)
    assert open_to_others == set()
