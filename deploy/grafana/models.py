"""Dashboard of the models: whether searches find what is there, drift, and what people say."""

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
                    ("max(earwitness_hub_search_recall_target_ratio)", "wanted"),
                ],
                "Share of an exact scan's ten best that searches find, on live queries; not of the backend `engine`.",
            ),
            Panel("Candidates", "none", [("max by (space) (earwitness_hub_search_candidates)", "{{space}}")]),
            Panel(
                "Gap of the last match", "none", [("max by (space) (earwitness_hub_search_rank_loss)", "{{space}}")]
            ),
        ],
    ),
    (
        "Drift: below 0.1 nothing changed, over 0.25 much did",
        [
            Panel(
                "Presence",
                "none",
                [('earwitness:model_presence_psi{reference="deployment"}', "{{category}} {{space}}")],
                "How far each category's presence is from what was first heard here: population stability index.",
                steps=(0.1, 0.25),
            ),
            Panel(
                "Embeddings",
                "none",
                [('earwitness:model_embedding_psi{reference="deployment"}', "{{space}}")],
                "The sound itself, before any network of ours: microphones, windscreens, places.",
                steps=(0.1, 0.25),
            ),
            Panel(
                "Likeness",
                "none",
                [("max(earwitness_model_match_probability_psi)", "of episodes")],
                "How much happenings resemble past ones.",
                steps=(0.1, 0.25),
            ),
            Panel(
                "Unlike what was learnt from",
                "none",
                [
                    ('earwitness:model_presence_psi{reference="training"}', "{{category}} {{space}}"),
                    ('earwitness:model_embedding_psi{reference="training"}', "embeddings {{space}}"),
                ],
                "The same index against the network's training record. Every place is unlike it; the more it is, the"
                " more training with feedback is worth.",
            ),
            Panel(
                "Heard, and learnt from",
                "percentunit",
                [
                    ("max by (category, space) (earwitness_model_presence_ratio)", "{{category}} heard ({{space}})"),
                    (
                        (
                            "max by (category, space) (earwitness_model_training_presence_ratio)"
                            " and on (space) earwitness_model_presence_ratio"
                        ),
                        "{{category}} learnt ({{space}})",
                    ),
                ],
                "Share of clips with each category.",
            ),
            Panel(
                "Measured on",
                "none",
                [
                    ("max by (space) (earwitness_model_drift_events)", "lately, {{space}}"),
                    (
                        "max by (space, reference) (earwitness_model_reference_events)",
                        "reference {{reference}}, {{space}}",
                    ),
                ],
                "Events. With no reference yet there is no drift to tell.",
            ),
        ],
    ),
    (
        "What people say",
        [
            Panel(
                "Calibration",
                "percentunit",
                [
                    ("max(earwitness_model_mean_predicted_probability)", "stated"),
                    ("max(earwitness_model_observed_precision)", "right"),
                ],
                "Of alerts judged within 30 days: how sure they were, and how often people agreed.",
            ),
            Panel("Verdicts", "none", [("max by (verdict) (earwitness_store_verdicts)", "{{verdict}}")]),
            Panel(
                "Candidate network in the shadow",
                "none",
                [("sum by (agrees) (increase(earwitness_hub_shadow_alerts_total[$__range]))", "agrees: {{agrees}}")],
                "Of the time shown.",
            ),
        ],
    ),
]
