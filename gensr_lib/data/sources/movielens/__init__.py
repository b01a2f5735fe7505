"""MovieLens: stars for films, with searches made from genres and years."""

from .read import SOURCE, find_layout, read_movielens

__all__ = ["SOURCE", "find_layout", "read_movielens"]
