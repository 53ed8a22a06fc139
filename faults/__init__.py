"""`make faults`: everything that can go wrong with a sync, tried, and what came of it.

A section is a module with `TITLE`, `WHAT` and `run(part)`; see `harness`.
"""
