"""The contestants, each a script: the task in `argv`, a line of JSON with its own times out."""
