"""Where data come from: a module or package per source, and the table in `load` that names them.

`formats` reads the kinds of files that several sources have, `downloads` brings them here. Imports
run down: `formats` and `source`, then the sources, none of which knows another, then `load`, then
`downloads`.
"""
