"""Settings for what asks neither the database nor the proxy, or shall find neither."""

from shirase.settings import Settings

NOWHERE = Settings(
    database_url="sqlite:////x.db",
    grip_url=("http://127.0.0.1:1",),
    pushpin_sig_key="k" * 32,
    jwt_secret="j" * 32,
)
