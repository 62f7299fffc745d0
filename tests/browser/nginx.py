"""A real nginx that does what keeps streams from some networks: it holds back what it passes on until it is complete.

Its ``proxy_buffering`` alone does not: nginx passes on what there is. Its compression waits for the end.
"""

from contextlib import AbstractContextManager
from pathlib import Path

from tests.support.nginx import nginx

BUFFERING = """
location / {{
    proxy_pass {target};
    proxy_set_header Host $host;
    proxy_buffering on;
    proxy_ignore_headers X-Accel-Buffering;  # with which the service asks not to be buffered
    gzip on;
    gzip_proxied any;
    gzip_types text/event-stream;
}}
"""


def buffering_nginx(directory: Path, target: str) -> AbstractContextManager[str]:
    """Run it before ``target`` until the end of the block; gives its address."""
    return nginx(directory, BUFFERING.format(target=target))
