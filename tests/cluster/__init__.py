"""``make cluster``: builds the images, runs the composition and checks it from outside."""
