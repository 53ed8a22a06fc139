"""The sections of the report, a module each, with `TITLE`, `WHAT` and `run(part)`."""
