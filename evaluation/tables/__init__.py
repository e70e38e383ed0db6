"""Tables 1–5: every cell of the paper, then what this run measured on its own datasets.

One CSV, Markdown and LaTeX file per table, and one CSV of the methods' paired comparisons, from which the marks come.
A paper's number and an embedded backend's never share a row.
"""
