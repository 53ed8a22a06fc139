"""`make faults`: everything that can go wrong with a sync, tried, and what came of it.

`sections` are those of the report; `cases` say what is done, `running` how a sync is run, `judging`
what came of it. `server` stands in front of a real API. Servers and incidents come from `fakes`.
"""
