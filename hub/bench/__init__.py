"""Benchmarks of `earwitness-hub bench`, printed as a table or JSON.

| module | what it measures |
|---|---|
| `embedding_cost`, `vggish_throughput` | sound to features |
| `scoring_throughput`, `search_latency` | scoring of pairs; a search, with `synthetic_archive` |
| `ingest_throughput`, `startup_time`, `page_latency` | a whole hub, started by `server_processes` |
| `alert_quality`, `alert_plot` | alerts about a synthetic street (`scenario`, `synthetic_clips`) |
| `alert_metrics`, `alert_recall`, `forecast_accuracy`, `threshold_promises` | measures of alerts |
| `replay`, `replay_recordings` | a hub without broker and clock; recordings of a real network |
| `timing` | medians of repeated measurements |
"""
