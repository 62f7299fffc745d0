"""Access: tokens, tickets, keys and rate limits."""
