"""The names of dagster-dlt, through dagster-embedded-elt if that is installed.

dagster-embedded-elt is in its last release, re-exports these from `dagster_dlt`, and pins Dagster
1.13.1. Without it, as in `make test-newest`, they come straight from `dagster_dlt`.
"""

import warnings

try:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The `dagster-embedded-elt` library")
        from dagster_embedded_elt.dlt import DagsterDltResource, DagsterDltTranslator, dlt_assets
except ImportError:
    from dagster_dlt import DagsterDltResource, DagsterDltTranslator, dlt_assets

__all__ = ["DagsterDltResource", "DagsterDltTranslator", "dlt_assets"]
