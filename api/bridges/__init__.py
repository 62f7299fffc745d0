"""Shirase inside other frameworks, each with its own connections, sign-in and ways."""
