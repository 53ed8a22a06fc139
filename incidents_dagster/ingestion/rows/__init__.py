"""Records as Arrow tables, with the column types of dlt's schema."""
