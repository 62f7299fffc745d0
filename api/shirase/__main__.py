"""``python -m shirase`` is the ``shirase`` command."""

from shirase.run.cli import main

main()
