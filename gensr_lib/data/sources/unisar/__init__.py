"""UniSAR's processed data: logs, records and negatives as its repository lays them out."""

from .read import SOURCE, read_unisar

__all__ = ["SOURCE", "read_unisar"]
