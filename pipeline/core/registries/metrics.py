"""Which metrics can be the main one of a run's tables, each with the task that it judges.

Names alone, so that a configuration is checked without them; what they compute stands in
`pipeline.evaluation.metrics`. docs/new-metric.md adds one.
"""

METRICS = {
    "accuracy": "classification",
    "balanced_accuracy": "classification",
    "weighted_f1": "classification",
    "macro_f1": "classification",
    "acc2_nonneg": "regression",
    "f1_nonneg": "regression",
    "acc2_pos": "regression",
    "f1_pos": "regression",
    "acc7": "regression",
    "mae": "regression",
    "pearson": "regression",
}


def of_task(task: str) -> tuple[str, ...]:
    """The names of the metrics of `classification` or `regression`."""
    return tuple(name for name, judged in METRICS.items() if judged == task)
