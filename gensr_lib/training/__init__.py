"""Training and testing, the same for every model: the loop, evaluation, metrics."""

from ..lazy import attach

__getattr__, __all__ = attach(
    __name__,
    {
        "loop": ["TrainingRun", "train"],
        "evaluation": ["Evaluation", "evaluate"],
        "metrics": ["EXPECTED", "METRICS", "metric_columns", "ndcg_at_k", "ranks"],
    },
)
