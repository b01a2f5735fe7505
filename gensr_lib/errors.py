"""The two errors that a user of the library is meant to read.

Each message names the file, row, column or option at fault and says what to do about it.
"""


class DataError(ValueError):
    """The data given by the user cannot be used as it is.

    Attributes:
        where: the rows at fault (`data.origin.FaultyRows`), if it is some rows; it stays in this
            process.
    """

    def __init__(self, message: str, where: object = None):
        super().__init__(message)
        self.where = where

    def __reduce__(self):
        return type(self), (str(self),)


class ConfigError(ValueError):
    """A configuration, option or name is unknown, out of range or does not fit the data."""


def unknown(kind: str, name: str, known) -> ConfigError:
    """The error for a name that is not one of the known ones, with the closest of them first.

    >>> str(unknown("profile", "poket", ["smoke", "pocket", "paper"]))
    "unknown profile 'poket'; did you mean 'pocket'? Known: paper, pocket, smoke"
    """
    from difflib import get_close_matches

    close = get_close_matches(str(name), list(known), n=1)
    hint = f" did you mean '{close[0]}'?" if close else ""
    return ConfigError(f"unknown {kind} '{name}';{hint} Known: {', '.join(sorted(known))}")


def known(kind: str, name: str, names) -> str:
    """The name itself, if it is one of the names; else `unknown` is raised."""
    if name not in names:
        raise unknown(kind, name, names)
    return name
