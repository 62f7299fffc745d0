"""``python -m api`` is the ``shirase`` command."""

from api.cli import main

main()
