"""Properties of any input: a few inputs in each run, thousands with `pytest -m fuzz`."""

import pytest
from hypothesis import given, settings

#: How many inputs; None for as many as the profile says.
NUMBERS = [
    pytest.param(None, marks=pytest.mark.hypothesis),
    pytest.param(2000, marks=pytest.mark.fuzz),
]


def sweep(number, *strategies):
    """Call the decorated function, at once, with this number of inputs."""

    def run(holds):
        tried = given(*strategies)(holds)
        if number is not None:
            tried = settings(max_examples=number, derandomize=False)(tried)
        tried()

    return run


def fine(code, out, err):
    """A result, or an error of one line."""
    assert code in (0, 1, 2)
    assert "itself failed" not in err
    assert "Traceback" not in err
    assert out or err
    if code == 2 and not out:
        assert err.startswith("error: ")
        assert len(err.splitlines()) == 1
