"""The service over HTTP: each route says what it takes and gives (``operation``), checks it, and calls the product."""
