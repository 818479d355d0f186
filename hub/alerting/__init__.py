"""Turn matches into alerts.

| module | what it does |
|---|---|
| `matching` | finds what each event of a batch resembles |
| `detector` | loads the state of sensors, applies `hub.domain.alert_rule`, commits episodes and alerts |
| `enrichment`, `recurrence` | add recurrence, linked episodes and severity to an alert |
| `explanation` | explains why two events match |
| `threshold_tuner`, `feedback` | adapt thresholds to the budget and to verdicts |
| `shadow` | compares a candidate model or threshold with the one in use |
| `source_filing`, `source_recurrence`, `source_enrichment`, `source_naming` | group episodes of one source |
| `name_matching` | recognises sounds that people named |
"""
