"""`make bench`: what a sync costs, against plain dlt, a hand-written limit and Singer.

`cases` says what is measured, `peers` are the contestants, `server` is the API they read,
`measure` runs one of them, `tables` prepares and verifies what they write, `report` tells it.
"""
