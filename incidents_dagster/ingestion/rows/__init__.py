"""Records as Arrow tables, in the types that dlt's schema has for their columns."""
