"""What is right and wrong with a configured API, told from at most five requests."""
