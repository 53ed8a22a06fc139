"""What came of a sync: right, red or wrong, by readers that share nothing with the product."""
