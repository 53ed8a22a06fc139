"""What is fetched and where it lands: pure dlt, without Dagster.

Data flow: `settings` (.dlt/config.toml) → `source` (rest_api, over `transport`) → `walks` (each
answer judged) → `completeness` (all of them, proven) → `batches` (Arrow; what cannot be loaded to
`quarantine`) → `changes` (less what `table` has) → `pipeline` (dlt, merge) → DuckDB.
"""
