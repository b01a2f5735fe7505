"""From raw files to batches: sources, filters, split, stored negatives, histories."""

from ..lazy import attach

__getattr__, __all__ = attach(
    __name__,
    {
        "schema": ["BEHAVIORS", "Tables"],
        "dataset": ["Dataset"],
        "batches": ["Batch", "merged_history"],
        "sources.load": ["load_dataset"],
        "pocket.world": ["simulate"],
        "export.folder": ["read_manifest"],
        "export.huggingface": ["export_huggingface"],
        "export.recbole": ["export_recbole"],
        "sources.made_searches": ["query_of", "synthesize_searches"],
    },
)
