"""Ways out of alerts: who is told, when, and in what words."""
