"""Studies: long evidence that is declared, made once, kept small and read by chapters.

`cells` plans the trainings of a declaration (`config.study`), `making` makes them, `stored` is a
cell on disk. `evidence` reads them, `effects` says what they mean over worlds, `checks` makes one
again, `whole` makes a study whole and `page` writes the README of its folder.
"""
