"""Runs that are kept: workspace, studies, tests, provenance, the paper's own numbers."""

from ..lazy import attach

__getattr__, __all__ = attach(
    __name__,
    {
        "spec": ["RunSpec", "load_profile"],
        "store": ["Run", "result_table", "seen_table"],
        "workspace": ["Workspace"],
        "data_check": ["check_tables"],
        "comparison": [
            "against",
            "agreement",
            "beside_print",
            "best_of",
            "bootstrap",
            "dear_first",
            "fit_anchors",
            "fit_floors",
            "ranks_of",
            "standing",
        ],
        "studies.effects": [
            "Without",
            "dose_response",
            "effects",
            "mean_effects",
            "slopes",
            "trend",
        ],
        "studies.evidence": ["Evidence", "evidence"],
        "studies.checks": ["spot_checks"],
        "parallel": ["finished", "fit_all"],
        "significance": [
            "compare",
            "crossed_test",
            "detectable",
            "holm",
            "metrics_of",
        ],
        "paper": ["IMPOSSIBLE", "ranking_tables", "table_1"],
    },
)
