"""HTTP without a framework: shared by Flask and Django."""
