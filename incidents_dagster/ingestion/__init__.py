"""From the incident API to the DuckDB file: pure dlt, without Dagster.

Each layer imports only from those below it:

    sync, peek, explain      one sync; what the change sensor asks; any error as one message
    landing/                 the rows that dlt has to load: changes, deletions, quarantine
    reading/                 every record of a resource, page by page, with proof of completeness
    warehouse/  http/        the DuckDB file and its tables; one request and its response
    settings  secrets/ rows/ configuration; keys; records as Arrow tables
    plain_text  private_files  tables  texts to show; the umask; what is configured of a table
    errors                   exceptions
"""
