"""The Flask application and its routes."""
