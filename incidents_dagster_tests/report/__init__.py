"""Tests of the report: its figures, its page, the asset, and both in a browser."""
