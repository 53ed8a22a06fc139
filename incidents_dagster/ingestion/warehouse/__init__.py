"""The DuckDB file: who may open it, what its tables hold, and how dlt loads it."""
