"""Figures: names of any characters are drawn, those that do not print by their number."""

import warnings

from matplotlib.figure import Figure

from data_prep.files.png import figure_to_png


def test_names_are_escaped_and_no_warning_comes_of_them():
    figure = Figure()
    axes = figure.subplots()
    axes.set_title("a\x1b[31m\u202eb\n肝", parse_math=False)
    axes.plot([0, 1], label="x\x07$y_$")
    axes.legend()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert figure_to_png(figure).startswith(b"\x89PNG")
    assert axes.get_title() == "a\\x1b[31m\\u202eb\n肝"
    assert axes.get_legend().get_texts()[0].get_text() == "x\\x07$y_$"
