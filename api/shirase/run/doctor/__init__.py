"""``shirase doctor``: checks a running service from the outside in, with one line and one fix for each check."""
