"""``docs/deploy.md`` on an empty machine: ``python -m tests.operator``."""
