"""Systems that serve search and recommendation at once and are not generative."""
