"""The page to try everything in."""
