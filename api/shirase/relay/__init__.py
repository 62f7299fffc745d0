"""The background process: repair, presence and retention."""
