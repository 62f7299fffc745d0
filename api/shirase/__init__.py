"""Shirase: real-time notifications over Server-Sent Events, held by Pushpin, answered by short-lived handlers."""
