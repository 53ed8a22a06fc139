"""The one place that imports dagster-embedded-elt, which is in its last release.

When it goes, import the same names from `dagster_dlt`, delete the silencing, and replace the
package in pyproject.toml by dagster-dlt.
"""

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="The `dagster-embedded-elt` library")
    from dagster_embedded_elt.dlt import DagsterDltResource, DagsterDltTranslator, dlt_assets

__all__ = ["DagsterDltResource", "DagsterDltTranslator", "dlt_assets"]
