"""Edge agent: capture sound, cut clips, measure levels, spool, publish."""
