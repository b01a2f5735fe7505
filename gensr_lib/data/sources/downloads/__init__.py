"""Raw files over the network: `raw_files.fetch` brings those of a data set into their folder."""

from .raw_files import RawFile, fetch

__all__ = ["RawFile", "fetch"]
