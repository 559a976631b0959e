"""What the writers make of any document, whatever command it is from."""

import pytest

from lldtool.output.document import (
    Bullets,
    Code,
    Column,
    Document,
    Facts,
    Notes,
    Pair,
    Paragraph,
    Row,
    Section,
    Table,
    Text,
    listed,
    styled,
)
from lldtool.output.formats import WRITERS, written


def shown(*blocks, width=60):
    return written(Document([Section(blocks)]), "table", width=width).splitlines()


def test_a_long_name_breaks_at_its_dots_and_keeps_the_comma():
    names = listed(["stages.0.downsample_layers.1", "norm"])
    assert shown(Paragraph(names), width=20) == ["stages.0.", "downsample_layers.1,", "norm"]
    assert shown(Paragraph(listed(["x" * 25, "y"])), width=20) == ["x" * 20, "xxxxx, y"]


def test_text_without_a_joint_is_cut():
    assert shown(Paragraph(Text((("0123456789", "dim"),), joint="")), width=5) == ["0123…"]


def test_pairs_stand_with_their_arrows_below_each_other():
    rows = [Row([Pair("0", "0.05")]), Row([Pair("frozen", "1")]), Row(["0.1"])]
    assert shown(Table([Column("lr", "arrow")], rows)) == [
        "lr", "     0 → 0.05", "frozen → 1", "   0.1",
    ]  # fmt: skip


def test_a_narrow_terminal_breaks_long_text_then_leaves_out_columns():
    columns = [Column("name", least=8), Column("size", drop=1), Column("lr", "right")]
    table = Table(columns, [Row([listed(["layers.0", "layers.1"]), "7.09 M", "1e-3"])])
    assert shown(table, width=40) == [
        "name               size     lr",
        "layers.0, layers.1 7.09 M 1e-3",
    ]
    narrower = ["name      size     lr", "layers.0, 7.09 M 1e-3", "layers.1"]
    assert shown(table, width=24) == narrower
    assert shown(table, width=19) == ["name        lr", "layers.0, 1e-3", "layers.1"]


def test_columns_that_do_not_fit_come_in_parts_after_the_repeated_ones():
    columns = [Column("layer"), *(Column(f"epoch {n}") for n in range(3))]
    table = Table(columns, [Row(["0", "1e-3", "2e-3", "3e-3"])], repeated=1)
    assert shown(table, width=22) == [
        "layer epoch 0 epoch 1", "0     1e-3    2e-3", "", "layer epoch 2", "0     3e-3",
    ]  # fmt: skip


HOSTILE = "[red]\x1b[2J\n|`<script>"


@pytest.mark.parametrize("form", ["table", "text", "html", *WRITERS])
def test_every_writer_shows_every_block_and_escapes_it(form):
    table = Table([Column("title")], [Row([HOSTILE])])
    blocks = [Facts([("label", HOSTILE)]), Paragraph(styled(("said", "bold"))), table]
    blocks += [Bullets(["an item"]), Notes([HOSTILE]), Code("lr = 1\nwd = 2")]
    made = written(Document([Section(blocks, HOSTILE)], title=HOSTILE), form)
    for text in ("label", "said", "title", "an item", "lr = 1", "wd = 2"):
        assert text in made
    assert "\x1b" not in made
    scripts = {"html": 1, "markdown": 0}.get(form, 5)  # a page has one of its own
    assert made.count("<script>") == scripts
