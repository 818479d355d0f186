"""Serve pages, API, live stream, health and metrics over HTTP.

| module | contents |
|---|---|
| `app`, `server` | the application, and the thread that serves it |
| `context` | the hub's parts that routes use |
| `api/`, `pages/` | one module of routes per resource, one per page |
| `listing`, `search_service`, `verdict_service`, `name_service`, `resolve` | what API and pages have in common |
| `schemas`, `pattern_schemas`, `source_schemas`, `name_schemas` | answers as JSON |
| `pagination` | cursors of lists |
| `export`, `spectrogram`, `svg`, `audio` | answers as CSV, PNG, SVG and FLAC |
| `live_feed` | server-sent events |
| `middleware`, `allowed_hosts`, `query_parameters` | headers of every answer, and rules that reject requests |
"""
