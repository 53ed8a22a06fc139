"""The report: one page of what the incidents say, `report/index.html` beside the DuckDB file,
or in data/ if the rows are in a shared store.

Data comes from the tables of `insight` and from `incidents.syncs`, and goes into the page and its
pictures alone. `assets` shows it in Dagster, `command` is `make report`; the rest knows no Dagster.
"""
