"""Who may do what: tokens, tickets, keys and rate limits."""
