"""A trained model asked by hand: lists for one user, what they rest on, systems side by side."""

from ..lazy import attach

__getattr__, __all__ = attach(
    __name__,
    {"export": ["export_page"], "ranker": ["Explanation", "Ranker"]},
    modules=["views"],
)
