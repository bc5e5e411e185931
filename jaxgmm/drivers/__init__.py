"""Ways to compute the statistics of all rows: one file a way."""
