"""Hub: take events in, archive, retrieve similar past events, flag, alert."""
