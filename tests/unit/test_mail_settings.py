"""The settings of mail."""

from pathlib import Path

import pytest

from shirase.errors import SettingsError
from shirase.mail_settings import MailSettings

ENVIRON = {"SMTP_HOST": "mail.example.com", "MAIL_FROM": "A <a@example.com>", "PUBLIC_URL": "https://example.com"}


def test_mail_is_off_without_a_host() -> None:
    assert MailSettings.from_env({}) is None
    on = MailSettings.from_env(ENVIRON)
    assert on
    assert (on.port, on.security, on.window) == (587, "starttls", 60)


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"MAIL_FROM": "nobody"}, "MAIL_FROM"),
        ({"MAIL_FROM": ""}, "MAIL_FROM"),
        ({"PUBLIC_URL": ""}, "PUBLIC_URL"),
        ({"SMTP_USER": "u"}, "SMTP_USER"),
        ({"SMTP_USER": "u", "SMTP_PASSWORD": "pässword"}, "SMTP_PASSWORD: must be ASCII"),
        ({"SMTP_USER": "ü", "SMTP_PASSWORD": "p"}, "SMTP_USER: must be ASCII"),
        ({"SMTP_USER": "u", "SMTP_PASSWORD": "p", "SMTP_SECURITY": "none"}, "SMTP_SECURITY"),
        ({"SMTP_SECURITY": "ssl"}, "SMTP_SECURITY"),
        ({"SMTP_CONNECTIONS": "0"}, "SMTP_CONNECTIONS"),
        ({"MAIL_TEMPLATES": "/nowhere"}, "MAIL_TEMPLATES"),
        ({"SMTP_PASSWORD_FILE": "/nowhere"}, "SMTP_PASSWORD"),
    ],
)
def test_a_wrong_setting_is_named(wrong: dict[str, str], name: str) -> None:
    with pytest.raises(SettingsError, match=name):
        MailSettings.from_env(ENVIRON | wrong)


def test_a_password_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("p4ss\n")
    there = {"SMTP_USER": "u", "SMTP_PASSWORD_FILE": str(tmp_path / "secret")}
    read = MailSettings.from_env(ENVIRON | there)
    assert read
    assert (read.password, "p4ss" in repr(read)) == ("p4ss", False)
