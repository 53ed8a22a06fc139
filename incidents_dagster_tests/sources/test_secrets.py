"""The key of one source is a secret in the syncs of the others, too."""

from incidents_dagster_tests.sources.conftest import Sources

SYNC = (
    "from incidents_dagster.ingestion.settings import load_settings\n"
    "from incidents_dagster.ingestion.sync import run_sync\n"
    "run_sync(load_settings({!r}), lambda _: None)\n"
)


def test_records_that_repeat_another_sources_key_are_redacted(sources: Sources) -> None:
    keys = {"incidents": "k3y-of-the-first-one", "tickets": "k3y-of-the-tickets"}
    for name, key in keys.items():
        api = sources.plain(name, 3, key)
        for row in api.rows:
            row["title"] = " ".join(keys.values())
    for name in keys:
        # In a process that has loaded no other source's settings, as a run of `make dev` is.
        done = sources.python(SYNC.format(name))
        assert done.returncode == 0, done.stderr
        assert sources.query(f"SELECT DISTINCT title FROM {name}.incident_data") == [("*** ***",)]
