"""One self-contained page that says what a run did and what came out, pictures and videos inside.

Everything is read from ``results/{run}``; what is absent there is said to be absent. No request leaves the page; it
links to the pages per method and clip (:mod:`evaluation.report.pages`).
"""
