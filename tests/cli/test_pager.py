"""Keys as a terminal sends them."""

import pytest

from lldtool.cli.pager import whole_keys


@pytest.mark.parametrize(
    ("read", "keys", "rest"),
    [
        ("jq", ["j", "q"], ""),
        ("\x1b[A\x1bOBg", ["\x1b[A", "\x1bOB", "g"], ""),
        ("\x1b[5~\x1b[1;5C", ["\x1b[5~", "\x1b[1;5C"], ""),
        ("j\x1b", ["j"], "\x1b"),
        ("j\x1b[", ["j"], "\x1b["),
        ("\x1b[1;", [], "\x1b[1;"),
        ("\x1bO", [], "\x1bO"),
        ("\x1bq", ["\x1b", "q"], ""),
    ],
)
def test_a_key_that_comes_in_parts_is_not_taken_apart(read, keys, rest):
    assert whole_keys(read) == (keys, rest)
