"""The product: notifications, streams and their events. No HTTP, no framework."""
