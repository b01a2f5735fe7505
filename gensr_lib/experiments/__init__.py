"""Runs that are kept: workspace, sweeps, paired tests, provenance, and the paper's own numbers."""

from ..lazy import attach

__getattr__, __all__ = attach(
    __name__,
    {
        "spec": ["RunSpec", "load_profile"],
        "store": ["Run"],
        "workspace": ["Workspace", "result_table"],
        "sweep": ["Sweep", "grid"],
        "significance": ["compare", "crossed_test", "detectable", "holm", "summary"],
        "paper": ["ranking_tables", "table_1"],
    },
)
