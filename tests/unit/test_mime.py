"""A mail as it is sent, read by the standard library's parser."""

from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from shirase.relay.mail import mime

LONG = "https://example.com/notify/api/unsubscribe/" + "eyJ1c2VyIjoiNDIifQ" * 30


def read(content: bytes) -> EmailMessage:
    mail = message_from_bytes(content, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    assert mail.defects == []
    return mail


def bodies(content: bytes) -> list[str]:
    [plain, html] = [mail.get_content().replace("\r\n", "\n") for mail in read(content).iter_parts()]
    return [plain, html]


def test_a_long_address_stays_one_line_as_it_is() -> None:
    content = mime.written([("List-Unsubscribe", f"<{LONG}>")], "a\n", "b\n")
    assert f"\r\nList-Unsubscribe: <{LONG}>\r\n".encode() in b"\r\n" + content


@pytest.mark.parametrize(
    "text",
    [
        "plain\n",
        "面接は10時です\n",
        "Grüße = 1\n",
        "x" * 2000 + "\n",
        "one\r\ntwo\rthree\n",
        ".\n..\n",
        "trailing  \n",
        "\n",
    ],
)
def test_a_body_is_read_as_it_was_written(text: str) -> None:
    content = mime.written([], text, f"<p>{text}</p>\n")
    expected = text.replace("\r\n", "\n").replace("\r", "\n")
    assert bodies(content) == [expected, f"<p>{expected}</p>\n"]
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= mime.LONGEST_LINE
    assert b"\n" not in content.replace(b"\r\n", b"")


@pytest.mark.parametrize("text", ["Interview", "面接" * 60, "=?utf-8?q?x?=", "a" * 200, "bell \x07", 'quoted "x" <y>'])
def test_a_subject_is_read_as_it_was_written(text: str) -> None:
    content = mime.written([("Subject", mime.text(text))], "a\n", "b\n")
    assert read(content)["Subject"] == text
    assert content.isascii()


@pytest.mark.parametrize("name", ["", "Example", "Example, Inc.", 'The "Ex"', "知らせ", "=?utf-8?q?x?="])
def test_a_sender_is_read_as_it_was_written(name: str) -> None:
    content = mime.written([("From", mime.mailbox(name, "noreply@example.com"))], "a\n", "b\n")
    [address] = read(content)["From"].addresses
    assert (address.display_name, address.addr_spec) == (name, "noreply@example.com")


@pytest.mark.parametrize("value", ["a\r\nBcc: eve@example.net", "a\nBcc: eve@example.net", "a\rb"])
def test_a_line_break_makes_no_header(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        mime.written([("To", value)], "a\n", "b\n")


def test_no_text_can_guess_the_end_of_its_part() -> None:
    boundaries = {read(mime.written([], "a\n", "b\n")).get_boundary() for _ in range(10)}
    assert len(boundaries) == 10
