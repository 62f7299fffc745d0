"""Input that has broken other services: ids, headers, cursors, cookies and bodies."""

# Different user ids, each of which some system has confused with another.
IDS = (
    "42",
    "4",
    " 42",
    "42 ",
    "42/",
    "\uff14\uff12",  # full-width digits
    "%34%32",
    "u-NDI",  # the name of 42's channel at the proxy
    "42; prev-id=0",
    "42, u-NDI",
    "*",
    "../42",
    "é",
    "e\u0301",  # looks like the previous one
    "42\u200b",  # zero width space
    "\u202e24",  # shown from right to left
    "ADMIN",
    "admin",
    "null",
    "' OR 1=1 --",
    "<script>alert(1)</script>",
    "{{7*7}}",
    "${jndi:ldap://x}",
    "😀" * 255,
)

TEXTS = (
    *IDS,
    "",
    "\x00",
    "\r\nGrip-Hold: stream",
    "\r\n\r\n",
    "\ud800",
    "\ufeff",
    "\u2028",
    "a" * 10_000,
    "0" * 10_000,
    "-1",
    "9" * 30,
    "1e309",
    "NaN",
    "true",
    "[]",
    "{}",
    "%00",
    "%0d%0aX: y",
    "%%%",
    "%c0%ae%c0%ae/",
    "....//....//etc/passwd",
    "\\\\host\\share",
    "file:///etc/passwd",
    "http://169.254.169.254/",
    "; DROP TABLE shirase_notifications; --",
    "\x1b[2J",
    "a.b.c",
    "....",
    "null,null",
    "w-NDI; last-id=0.9999999999",
    "u-NDI; last-id=0,c-0a1b; last-id=0",
)

# What a header of a real request can carry.
HEADERS = tuple(text for text in TEXTS if text.isprintable() and text.isascii())
