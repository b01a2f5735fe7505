"""Systems that search and do not recommend."""
