"""How gunicorn runs the handlers: ``gunicorn -c python:api.gunicorn_config api.wsgi:app``."""

from gunicorn.http import wsgi

# Every answer names its server, and Pushpin passes it on: say which service, not which version of what.
wsgi.SERVER = "shirase"

worker_class = "gthread"
workers = 2
threads = 8

# The proxy's connections are local and cheap to open. A kept one can be closed by a restart just as the next
# request is written to it. That would be a 502, from which a browser's EventSource never comes back. A new
# one waits in the socket that the master holds.
keepalive = 0

graceful_timeout = 5  # no handler waits for anything longer
timeout = 30
# Gunicorn's control socket lies in the home directory, where two copies collide; nothing here uses it.
control_socket_disable = True
# Gunicorn's access log prints query strings, and tokens travel in them.
accesslog = None
loglevel = "warning"
