"""The service over HTTP: each route declares what it accepts and returns (``operation``), and calls the product."""
