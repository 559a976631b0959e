"""What reads lldtool's output in the place of a person: what it must not find there."""

import re
import unicodedata

import pyte


def assert_no_control_character(text):
    raw = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
    assert raw <= {"\n"}


def assert_no_more_than_text(text):
    """A terminal finds lines and colours in it, and nothing else that it would obey."""
    assert_no_control_character(re.sub(r"\x1b\[[0-9;]*m", "", text))
    lines = text.splitlines()
    screen = pyte.Screen(4000, len(lines) + 2)
    pyte.Stream(screen).feed(text.replace("\n", "\r\n"))
    assert (screen.cursor.x, screen.cursor.y) == (0, len(lines))
    assert screen.title == ""
    assert screen.icon_name == ""
