"""The background process: repairs, presence and retention."""
