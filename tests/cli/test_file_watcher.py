"""Which files count as changed."""

import os
import threading
import time

import pytest

from lldtool.cli.file_watcher import Files

#: Seconds that anything may take; the machine may be slow.
MOST = 30


@pytest.fixture
def told():
    return threading.Event()


@pytest.fixture
def files(told):
    files = Files(told.set)
    yield files
    files.stop()


def followed(files, *paths):
    files.follow(paths, time.time() + 1)
    files.remember()


def test_an_edit_a_removal_and_a_new_file_are_changes(files, tmp_path):
    edited, removed, new, kept = (tmp_path / name for name in "abcd")
    for file in (edited, removed, kept):
        file.write_text("1")
    followed(files, edited, removed, new, kept)
    assert files.changed() == set()
    edited.write_text("12")
    removed.unlink()
    new.write_text("1")
    assert files.changed() == {edited, removed, new}
    files.remember()
    assert files.changed() == set()


def test_what_was_written_since_is_a_change_though_it_is_new_to_follow(files, tmp_path):
    before, later = tmp_path / "before", tmp_path / "later"
    since = time.time()
    before.write_text("")
    later.write_text("")
    os.utime(before, (since - 10, since - 10))
    os.utime(later, (since + 10, since + 10))
    files.follow([before, later], since)
    assert files.changed() == {later}


def test_another_file_in_a_folder_has_come_or_is_gone_but_not_been_edited(files, tmp_path):
    file, other = tmp_path / "config.py", tmp_path / "log.txt"
    file.write_text("")
    other.write_text("")
    followed(files, file)
    files.remember_folders()
    other.write_text("more")
    assert not files.folders_changed()
    (tmp_path / "late.py").write_text("")
    assert files.folders_changed()
    files.remember_folders()
    other.unlink()
    assert files.folders_changed()


@pytest.mark.parametrize("way", ["edit", "rename", "return", "link"])
def test_it_is_told_at_once(files, told, tmp_path, way):
    (tmp_path / "there").mkdir()
    target, file = tmp_path / "there/target.py", tmp_path / "config.py"
    target.write_text("")
    file.symlink_to(target) if way == "link" else file.write_text("")
    followed(files, file)
    if way == "return":
        file.unlink()
        followed(files, file)
    told.clear()
    until = time.monotonic() + MOST
    number = 0
    while not (number and told.wait(0.2)):  # the folders are watched by a thread, a little later
        assert time.monotonic() < until
        number += 1
        if way == "rename":
            (tmp_path / "config.tmp").write_text(str(number))
            (tmp_path / "config.tmp").rename(file)
        else:
            (target if way == "link" else file).write_text(str(number))
    assert files.changed() == {file}


def test_a_folder_where_nothing_is_to_be_found_is_not_watched(files, told, tmp_path):
    file, absent = tmp_path / "a/config.py", tmp_path / "lldtool.toml"
    file.parent.mkdir()
    file.write_text("")
    followed(files, file, absent)
    (tmp_path / "noise").write_text("")
    assert not told.wait(0.5)
    absent.write_text("")
    assert files.changed() == {absent}
