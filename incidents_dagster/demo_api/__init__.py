"""A small incident API on loopback, for a pipeline that has no real API to talk to."""
