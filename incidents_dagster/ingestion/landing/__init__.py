"""From the API's records to the rows that dlt loads: changes, deletions, and bad records."""
