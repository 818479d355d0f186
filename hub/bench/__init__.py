"""`earwitness-hub bench`: what things cost on this machine, printed as a table or JSON."""
