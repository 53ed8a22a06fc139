"""What is done to a sync: lists of cases, as data, and random mutations and histories."""
