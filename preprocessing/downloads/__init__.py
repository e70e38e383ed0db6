"""Media that a list names by their addresses: brought once, politely, into a store that outlives the rules' outputs.

``store`` is what fetch calls; ``worker`` is the child process that downloads, so that a library that hangs can be
killed; ``http`` and ``youtube`` bring one file each; ``sites`` is what the jobs of one machine know of a web site.
"""
