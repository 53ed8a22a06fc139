"""What is fetched and where it lands: pure dlt, without Dagster.

Data flow: `settings` (.dlt/config.toml) → `source` (rest_api, over `transport`) →
`pipeline` (dlt, merge) → DuckDB, read back by `table`.
"""
