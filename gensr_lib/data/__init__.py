"""From raw files to batches: loaders, filters, split, negatives, ragged histories."""
