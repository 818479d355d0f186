"""Dashboard of the models: search recall, drift and verdicts."""

from typing import Final

from panels import Panel, Rows

MODELS: Final[Rows] = [
    (
        "Search",
        [
            Panel(
                "Recall",
                "percentunit",
                [
                    ("min by (space) (earwitness_hub_search_recall_ratio)", "{{space}}"),
                    ("max(earwitness_hub_search_recall_target_ratio)", "target"),
                ],
                "Share of an exact scan's ten best that live searches find. The backend `redis` has none.",
            ),
            Panel("Candidates", "none", [("max by (space) (earwitness_hub_search_candidates)", "{{space}}")]),
            Panel(
                "Rank loss of the last match",
                "none",
                [("max by (space) (earwitness_hub_search_rank_loss)", "{{space}}")],
            ),
        ],
    ),
    (
        "Drift (PSI): below 0.1 stable, above 0.25 large",
        [
            Panel(
                "Presence",
                "none",
                [('earwitness:model_presence_psi{reference="deployment"}', "{{category}} {{space}}")],
                "Population stability index of each category's presence, against the first days of this deployment.",
                steps=(0.1, 0.25),
            ),
            Panel(
                "Embeddings",
                "none",
                [('earwitness:model_embedding_psi{reference="deployment"}', "{{space}}")],
                "The input of the network: microphones, windscreens and positions change it.",
                steps=(0.1, 0.25),
            ),
            Panel(
                "Match probability",
                "none",
                [("max(earwitness_model_match_probability_psi)", "of episodes")],
                "Distribution of the match probabilities of episodes.",
                steps=(0.1, 0.25),
            ),
            Panel(
                "Distance from the training data",
                "none",
                [
                    ('earwitness:model_presence_psi{reference="training"}', "{{category}} {{space}}"),
                    ('earwitness:model_embedding_psi{reference="training"}', "embeddings {{space}}"),
                ],
                "PSI against the network's training data. Every deployment differs from it. The larger PSI, the more"
                " training with feedback helps.",
            ),
            Panel(
                "Presence here and in training",
                "percentunit",
                [
                    ("max by (category, space) (earwitness_model_presence_ratio)", "{{category}} here ({{space}})"),
                    (
                        (
                            "max by (category, space) (earwitness_model_training_presence_ratio)"
                            " and on (space) earwitness_model_presence_ratio"
                        ),
                        "{{category}} in training ({{space}})",
                    ),
                ],
                "Share of clips with each category.",
            ),
            Panel(
                "Measured on",
                "none",
                [
                    ("max by (space) (earwitness_model_drift_events)", "recent, {{space}}"),
                    (
                        "max by (space, reference) (earwitness_model_reference_events)",
                        "reference {{reference}}, {{space}}",
                    ),
                ],
                "Events. Drift is measured once there is a reference.",
            ),
        ],
    ),
    (
        "Verdicts",
        [
            Panel(
                "Calibration",
                "percentunit",
                [
                    ("max(earwitness_model_mean_predicted_probability)", "predicted"),
                    ("max(earwitness_model_observed_precision)", "observed"),
                ],
                "Alerts with a verdict in 30 days: mean predicted probability, and share that people confirmed.",
            ),
            Panel("Verdicts", "none", [("max by (verdict) (earwitness_store_verdicts)", "{{verdict}}")]),
            Panel(
                "Shadow model",
                "none",
                [("sum by (agrees) (increase(earwitness_hub_shadow_alerts_total[$__range]))", "agrees: {{agrees}}")],
                "Within the time shown.",
            ),
        ],
    ),
]
