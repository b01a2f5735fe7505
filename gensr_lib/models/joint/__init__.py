"""Models that serve recommendation and search at once and are not generative."""
