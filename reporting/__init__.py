"""What the reports of bench and faults share."""
