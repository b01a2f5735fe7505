"""Data sets in the formats of other libraries: the same split, histories and negatives."""
