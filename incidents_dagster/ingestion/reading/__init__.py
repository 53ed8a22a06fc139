"""From the configuration to every record of a resource, with proof that none is missing."""
