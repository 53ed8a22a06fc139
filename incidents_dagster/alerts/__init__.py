"""Alerts: what is wrong now, what has been told of it, and who gets it.

`sensor` is the sensor. `conditions` says what can be wrong; `failed_runs`, `failed_checks`,
`late_syncs` and `open_incidents` find it. `told` remembers what was told, `messages` words it, and
`delivery` brings it to the `receivers`.
"""
