"""From the configuration to all records of a resource, and the proof that they are all."""
