import pytest
from hypothesis import given
from hypothesis import strategies as st

from lldtool.output.markdown import markdown
from lldtool.text import count, lr, printable, setting, shape, to_encoding


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"), (999, "999"), (1000, "1.00 k"), (7_087_872, "7.09 M"), (86_567_656, "86.6 M"),
        (632_000_000, "632 M"), (999_999, "1.00 M"), (999_960_000, "1.00 G"),
        (2 * 10**15, "2000 T"),
    ],
)  # fmt: skip
def test_count(number, text):
    assert count(number) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(7.394e-6, "7.39e-6"), (2e-3, "2.00e-3"), (1.0, "1.00"), (0, "0"), (None, "–")],
)
def test_lr(value, text):
    assert lr(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.05, "0.05"), (0.0, "0"), (1e-8, "1e-8"), (0.1 * 3, "0.3"), (None, "–")]
)
def test_setting(value, text):
    assert setting(value) == text


def test_shape():
    assert (shape((768, 3, 16, 16)), shape(())) == ("768×3×16×16", "scalar")


def test_control_and_direction_characters_are_shown_as_escapes():
    assert printable("a\x1b[31mb\n\u202ec") == r"a\x1b[31mb\n\u202ec"
    assert printable("größer × 2") == "größer × 2"


@given(st.text())
def test_printable_text_never_moves_the_cursor(text):
    assert all(c.isprintable() or c.isspace() for c in printable(text))
    assert not set(printable(text)) & set("\x1b\n\r\t\b\x9b\u202e\u2066")


@given(st.text())
def test_any_text_can_be_written_in_any_encoding(text):
    to_encoding(text, "ascii").encode("ascii")


def test_markdown_is_shown_as_it_is():
    assert markdown("a_b|<i>*x*") == r"a\_b\|&lt;i&gt;\*x\*"
