"""Define every metric of the hub (`definitions`), and render them for a scrape (`exposition`)."""
