"""GenSR, the model of the paper: the model, its prompt, and the one-way form of its attention."""
