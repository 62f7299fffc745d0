"""Settings whose database and proxy do not exist."""

from shirase.settings import Settings

NOWHERE = Settings(
    database_url="sqlite:////x.db",
    grip_url=("http://127.0.0.1:1",),
    pushpin_sig_key="k" * 32,
    jwt_secret="j" * 32,
)
