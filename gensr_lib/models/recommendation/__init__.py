"""Systems that recommend and do not search."""
