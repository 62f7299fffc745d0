"""Mail: deliveries to a user that are due within one window share a mail."""
