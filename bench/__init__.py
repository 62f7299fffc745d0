"""How fast and how dear Shirase is, beside what else one could run: ``make bench``."""
