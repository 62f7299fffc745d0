"""What is sent to a Pushpin node, and what is heard from it."""
