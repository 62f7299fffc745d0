"""Mail: what is due of a user in one window, in one mail."""
