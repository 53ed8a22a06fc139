"""From the API's records to what dlt has to load: changed rows, deletions, and bad records."""
