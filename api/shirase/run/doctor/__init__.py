"""``shirase doctor``: checks a running service from the outside in, one line each with the mend."""
