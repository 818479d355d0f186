"""Define every metric of the hub (`definitions`), and render the metrics for a scrape (`exposition`)."""
