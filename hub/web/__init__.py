"""The HTTP side: pages, API, live stream, health, metrics.

| module | what it holds |
|---|---|
| `app` | the application put together, answers to errors |
| `parts` | what it is made of |
| `api/`, `pages/` | one module of routes per resource, one per page |
| `listing`, `asking`, `saying`, `lookup` | what both do: lists, searches, verdicts, one thing by its id |
| `views`, `pattern_views`, `tables`, `images`, `plots` | how things are told: JSON, CSV, PNG, SVG |
| `stream` | the live feed |
| `guard` | headers of every answer, who may change something |
"""
