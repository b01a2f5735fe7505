"""Where data come from: one file per source, and the table in `load` that names them."""
