def test_x(api, database):
    from incidents_dagster.ingestion.pipeline import run_sync
    from incidents_dagster.ingestion.settings import load_settings
    print(run_sync(load_settings()))
    assert database.exists()
