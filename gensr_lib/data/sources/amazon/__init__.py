"""The Amazon reviews of 2014, 2018 and 2023, with searches made from categories."""

from .read import SOURCE, find_files, read_amazon

__all__ = ["SOURCE", "find_files", "read_amazon"]
