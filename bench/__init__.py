"""Speed and cost of Shirase beside other designs: ``make bench``."""
