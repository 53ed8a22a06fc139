"""What the incidents say: tables made of SQL in the schema `insight`, and how Dagster runs them.

Each `.sql` file is a table. Data comes from what the syncs write (`incidents.incidents`,
`incidents.change_log`, `incidents.syncs`) and goes nowhere else: no sync needs anything here.
"""
