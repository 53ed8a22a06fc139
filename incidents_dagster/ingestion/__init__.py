"""What is fetched and where it lands: pure dlt, without Dagster.

Data flow: `settings` (.dlt/config.toml) → `source` (rest_api, over `transport`) → `batches`
(Arrow) → `changes` (less what `table` has) → `pipeline` (dlt, merge) → DuckDB.
"""
