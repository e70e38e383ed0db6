"""LaTeX that compiles anywhere: balanced, plain characters, the same number of cells in every row."""

import re

import pandas as pd
import pytest

from evaluation.tables.build import COLUMNS
from evaluation.tables.comparisons import Marks
from evaluation.tables.latex import ESCAPES, escaped, tex
from evaluation.tables.render import counts, lines, markdown, metrics_of, own_count

NASTY = r"50 % of_a & b # $c$ {d} \e ~f ^g <h> |i| “j” – k — … ± ≤ ² °"


def cell(method, metric, measured, *, motion="absolute", paper="", used=4, reason=""):
    row = dict.fromkeys(COLUMNS, "") | {"table": 3, "dataset": "my_data & more", "method": method, "metric": metric}
    row |= {"motion": motion, "measured": measured, "ci_low": measured, "ci_high": measured, "paper": paper}
    return row | {"n_used": used, "n_attempted": 4, "backend": "dlib-128", "label": NASTY, "reason": reason}


@pytest.fixture
def frame():
    rows = [
        cell("FOMM", "CSIM", None, motion="", paper="0.748"),
        cell("PlaneDict", "CSIM", 0.9, motion="", paper="0.911"),  # measured on the paper's dataset
        cell("my_method {x}", "CSIM", 0.5, used=3, reason="1 left out: no face found in the generated image"),
        cell("my_method {x}", "ET", 0.7, used=2),
        cell("other", "CSIM", 0.4),
        cell("other", "FID", None, reason=NASTY),
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


FOUND = Marks({("my_data & more", "my_method {x}", "absolute", "CSIM"): "best",
               ("my_data & more", "other", "absolute", "CSIM"): "second",
               ("my_data & more", "FOMM", "", "CSIM"): "second"})  # fmt: skip


def balanced(text):
    """Whether braces and environments of LaTeX source open and close in order."""
    depth, stack = 0, []
    for token in re.findall(r"\\begin\{\w+\*?\}|\\end\{\w+\*?\}|\\.|%.*|[{}]", text):
        if token.startswith(r"\begin"):
            stack.append((token[7:-1], depth))
        elif token.startswith(r"\end"):
            assert stack.pop() == (token[5:-1], depth)
        elif token in "{}":
            depth += 1 if token == "{" else -1
            assert depth >= 0
    return depth == 0 and not stack


def test_source_is_balanced_plain_and_rectangular(frame):
    text = tex(frame, 3, FOUND)
    assert text.isascii() and balanced(text)
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")].splitlines()
    wide = 2 + len(metrics_of(3))
    for row in body:
        if re.search(r"\\\\(\[.*\])?$", row) and r"\multicolumn" not in row:
            assert len(re.findall(r"(?<!\\)&", row)) == wide - 1, row
    assert rf"\multicolumn{{{wide}}}" in text and f"{{l{'r' * (wide - 1)}}}" in text
    assert r"\label{tab:planedict-3}" in text and r"my\_data \& more" in text and "CSIM by dlib-128" in text
    assert "Odd in the paper" in text


def test_escaping_leaves_no_active_character():
    text = escaped(NASTY)
    assert text.isascii() and balanced(text)
    assert not re.search(r"(?<!\\)[&%#_]", text) and "~" not in text.replace(r"\textasciitilde", "")
    assert escaped("é and ø stay") == "é and ø stay" and set(map(ord, NASTY)) - set(ESCAPES) < set(range(128))


def test_marks_and_lost_images_are_printed_in_latex_and_markdown(frame):
    latex, text = tex(frame, 3, FOUND), markdown(frame, 3, FOUND)
    assert r"\textbf{0.500}" in latex and r"\underline{0.400}" in latex and r"\underline{0.748}" in latex
    assert "**0.500** [0.500, 0.500] (3/4)" in text and "<ins>0.400</ins>" in text and "<ins>0.748</ins>" in text
    assert "2/4 (50.0 %)" in text and r"2/4 (50.0 \%)" in latex and "no face found" in latex
    assert "0.911 | 0.900 [0.900, 0.900]" in text and r"\quad measured here & 0.900" in latex
    mine = next(line for line in lines(frame) if line.method == "my_method {x}")
    by_name = {metric.name: metric for metric in metrics_of(3)}
    assert counts(mine) == "2/4 (50.0 %)" and own_count(mine, by_name["CSIM"]) == "3/4"
    assert own_count(mine, by_name["ET"]) == own_count(mine, by_name["FID"]) == ""


def test_a_method_without_any_face_is_shown_with_its_rate():
    reason = "no face found in the generated image"
    rows = [cell("ghost", "CSIM", None, used=0, reason=reason), cell("ghost", "FID", 90.0)]
    text = markdown(pd.DataFrame(rows, columns=list(COLUMNS)), 3, Marks())
    row = next(line for line in text.splitlines() if "ghost" in line and line.startswith("|"))
    assert row.endswith("| 0/4 (0.0 %) |") and "90.0 [90.0, 90.0] (4/4)" in row
