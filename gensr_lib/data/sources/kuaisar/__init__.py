"""KuaiSAR: clicks on recommendations and on search results of a platform for short videos."""

from .read import SOURCE, read_kuaisar

__all__ = ["SOURCE", "read_kuaisar"]
