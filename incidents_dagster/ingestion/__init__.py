"""From the incident API to the DuckDB file: pure dlt, without Dagster.

Each floor imports only from those below it:

    sync, peek, explain      one sync; the change sensor's question; any error in one message
    landing/                 which rows dlt has to load: changes, deletions, quarantine
    reading/                 all records of a resource, page by page, with the proof
    warehouse/  http/        the DuckDB file and its tables; one request and its response
    settings  secrets/ rows/ the configuration; keys; records as Arrow tables
    errors  tables           exceptions; what the configuration says of a table
"""
