"""Every service that has no channel of its own, by Apprise."""
