"""A real nginx that buffers streams, as middleboxes in some networks do.

``proxy_buffering`` alone does not: nginx forwards what has arrived. Its compression waits for the end.
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
    """Run it in front of ``target`` until the end of the block; yields its address."""
    return nginx(directory, BUFFERING.format(target=target))
