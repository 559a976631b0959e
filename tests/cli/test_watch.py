"""`lldtool watch` in a terminal, which pyte interprets."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import psutil
import pyte
import pytest
from conftest import PLANS, ROOT, TINY_VIT, commit, lldtool_process

pytestmark = pytest.mark.slow
ROWS, COLUMNS = 60, 90
#: Seconds that anything may take; the machine may be slow.
MOST = 300


class Terminal:
    """A process in a terminal of its own, and what is on that."""

    def __init__(self, *arguments, cwd):
        self.screen = pyte.Screen(COLUMNS, ROWS)
        self.stream = pyte.ByteStream(self.screen)
        self.seen = b""
        self.mine, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self.theirs = theirs  # kept open, to see in which state it is left
        self.process = subprocess.Popen(
            [sys.executable, "-m", "lldtool", *map(str, arguments)],
            stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )  # fmt: skip

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def read(self, seconds):
        ready, _, _ = select.select([self.mine], [], [], seconds)
        if ready:
            part = os.read(self.mine, 65536)
            self.seen += part
            self.stream.feed(part)
        return ready

    def wait_until(self, holds, what):
        """Read what comes until something holds."""
        until = time.monotonic() + MOST
        while not holds():
            assert time.monotonic() < until, f"not {what}:\n{self.text()}"
            self.read(0.1)

    def wait_for(self, *patterns):
        """Wait until all of these are on the screen; what is on it then."""
        self.wait_until(
            lambda: all(re.search(pattern, self.text()) for pattern in patterns), patterns
        )
        return self.text()

    def press(self, keys):
        os.write(self.mine, keys.encode())

    def ended(self):
        """Wait for the end; the exit code."""
        self.wait_until(lambda: self.process.poll() is not None, "ended")
        self.read(0.1)
        return self.process.returncode

    def close(self):
        self.process.terminate()
        self.ended()
        os.close(self.mine)
        os.close(self.theirs)


@pytest.fixture
def watched(tmp_path):
    (tmp_path / "base.py").write_text(TINY_VIT)
    config = tmp_path / "config.py"
    config.write_text(
        "_base_ = ['base.py']\n"
        "custom_imports = dict(imports=['own_module'])\n"
        "optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.8, norm_decay_mult=0.0))\n"
        "print('printed by the config')\n"
    )
    (tmp_path / "own_module.py").write_text("RATE = 1\n")
    terminal = Terminal("watch", config.name, cwd=tmp_path)
    yield tmp_path, terminal
    terminal.close()


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_changes_errors_bases_and_modules_are_shown(watched):
    folder, terminal = watched
    text = terminal.wait_for("watching config.py and 2 other files", r"13 ln1, head", "Found")
    assert "printed by the config" in text
    assert "0.8000" in text

    edit(folder / "config.py", "0.8", "0.6")
    text = terminal.wait_for("layer_decay_rate 0.8 → 0.6", "0.6000")
    assert "A  as it was at" in text
    assert "lr differs in 13 of 14 layers" in text

    edit(folder / "config.py", "0.6", "0.6,,")
    text = terminal.wait_for("syntax error in config.py line 3", "broken")
    assert "0.6000" in text
    assert "what it was at" in text

    edit(folder / "config.py", "0.6,,", "0.6")
    terminal.wait_for("identical lr, lr_scale, weight decay and layer")

    edit(folder / "base.py", "weight_decay=0.05", "weight_decay=0.07")
    terminal.wait_for("optim_wrapper.optimizer.weight_decay 0.05 → 0.07")

    (folder / "own_module.py").write_text("raise ValueError('of the module')\n")
    terminal.wait_for("of the module", "broken")
    (folder / "own_module.py").write_text("")
    terminal.wait_for("identical lr")

    (folder / "lldtool.toml").write_text("ignore = ['ALL']\n")
    terminal.wait_for("no findings", "All checks passed")

    hanging = "import time; time.sleep(1000); print("
    edit(folder / "config.py", "print(", hanging)
    terminal.wait_for(r"· … ·")
    for number in range(3):  # none of them keeps the others waiting, or goes on
        (folder / "config.py").write_text(f"# {number}\n{(folder / 'config.py').read_text()}")
        time.sleep(0.3)
    edit(folder / "config.py", hanging, "print(")
    terminal.wait_for(r"\d s ·", "identical lr")

    noisy = "for _ in range(10**7): print('x' * 1000)\nprint("
    edit(folder / "config.py", "print(", noisy)
    time.sleep(1)
    assert psutil.Process(terminal.process.pid).memory_info().rss < 500e6
    edit(folder / "config.py", noisy, "print(")
    terminal.wait_for(r"\d s ·", "printed by the config")

    terminal.press("jjq")
    assert terminal.ended() == 0


def test_what_is_missing_is_seen_when_it_comes(watched):
    folder, terminal = watched
    terminal.wait_for("ln1, head", "q ends it")
    edit(folder / "config.py", "'own_module'", "'own_module', 'later'")
    terminal.wait_for("No module named 'later'", "broken")
    (folder / "later.py").write_text("")
    terminal.wait_for("identical lr")


def test_a_base_that_changes_while_it_is_first_read_is_seen(watched):
    folder, terminal = watched
    terminal.wait_for("ln1, head", "q ends it")
    (folder / "slow.py").write_text("import time\ntime.sleep(2)\nRATE = 1\n")
    (folder / "late.py").write_text(
        "_base_ = ['base.py']\noptim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.9))"
    )
    edit(folder / "config.py", "'base.py'", "'late.py'")
    edit(folder / "config.py", "layer_decay_rate=0.8, ", "")
    edit(folder / "config.py", "'own_module'", "'own_module', 'slow'")
    time.sleep(1)
    edit(folder / "late.py", "0.9", "0.5")
    terminal.wait_for("layer_decay_rate 0.5")


def test_it_leaves_the_terminal_as_it_was(watched):
    _, terminal = watched
    terminal.wait_for("ln1, head", "q ends it")
    assert termios.tcgetattr(terminal.theirs) != terminal.before
    started = psutil.Process(terminal.process.pid).children(recursive=True)
    assert started
    terminal.press("\x03")
    assert terminal.ended() == 130
    assert psutil.wait_procs(started, timeout=MOST)[1] == []
    assert termios.tcgetattr(terminal.theirs) == terminal.before
    assert terminal.seen.endswith(b"\x1b[?7h\x1b[?25h\x1b[?1049l")
    assert b"Traceback" not in terminal.seen


def test_a_signal_ends_it_as_well(watched):
    _, terminal = watched
    terminal.wait_for("ln1, head", "q ends it")
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.ended() == 128 + signal.SIGTERM
    assert termios.tcgetattr(terminal.theirs) == terminal.before


def test_ctrl_z_gives_the_terminal_back_until_it_goes_on(watched):
    _, terminal = watched
    terminal.wait_for("ln1, head", "q ends it")
    process, drawn_on = psutil.Process(terminal.process.pid), termios.tcgetattr(terminal.theirs)
    terminal.press("\x1a")
    terminal.wait_until(lambda: process.status() == psutil.STATUS_STOPPED, "stopped")
    assert termios.tcgetattr(terminal.theirs) == terminal.before
    while terminal.read(0):  # what it drew before it stopped
        pass
    terminal.seen = b""
    process.resume()
    terminal.wait_until(
        lambda: b"q ends it" in terminal.seen and termios.tcgetattr(terminal.theirs) == drawn_on,
        "drawn again",
    )
    terminal.press("q")
    assert terminal.ended() == 0


def test_settings_are_followed_as_well(watched):
    folder, terminal = watched
    terminal.wait_for("ln1, head", "Found 0 errors|Found .* of 1 config")
    (folder / "lldtool.toml").write_text("timeout = 'soon'\n")
    terminal.wait_for(r"lldtool.toml:\s+timeout", "ln1, head")
    (folder / "lldtool.toml").write_text("timeout = 100\nignore = ['ALL']\n")
    terminal.wait_for("All checks passed")


@pytest.mark.parametrize(
    ("file", "arguments"), [("lldtool.toml", ()), ("own.toml", ("--config", "own.toml"))]
)
def test_settings_that_are_broken_at_first_are_followed(tmp_path, file, arguments):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/config.py").write_text(TINY_VIT)
    (tmp_path / file).write_text("timeout = 'soon'\n")
    terminal = Terminal("watch", "configs/config.py", *arguments, cwd=tmp_path)
    try:
        terminal.wait_for(rf"{file}:\s+timeout", "broken")
        (tmp_path / file).write_text("select = ['LLD102']\n")
        terminal.wait_for("ln1, head", "Found 1 finding")
        (tmp_path / file).write_text("ignore = ['ALL']\n")
        terminal.wait_for("All checks passed")
    finally:
        terminal.close()


def test_a_broken_config_that_writes_a_log_is_looked_at_once(watched):
    folder, terminal = watched
    terminal.wait_for("ln1, head", "q ends it")
    log = folder / "log.txt"
    writes = f"open({str(log)!r}, 'a').write('x')\nraise ValueError('broken by itself')\n"
    (folder / "own_module.py").write_text(writes)
    terminal.wait_for("broken by itself")
    until = time.monotonic() + 2
    while time.monotonic() < until:
        terminal.read(0.1)
    assert log.read_text() in ("x", "xx")  # imported once more, where a stub is tried


def test_it_ends_with_its_terminal(watched):
    _, terminal = watched
    terminal.wait_for("ln1, head", "q ends it")
    started = psutil.Process(terminal.process.pid).children(recursive=True)
    os.close(terminal.mine)
    terminal.mine = os.open(os.devnull, os.O_RDONLY)
    assert terminal.process.wait(MOST) in (-signal.SIGHUP, 128 + signal.SIGHUP)
    assert psutil.wait_procs(started, timeout=MOST)[1] == []


def test_keys_scroll_what_is_longer_than_the_terminal(watched):
    _, terminal = watched
    terminal.wait_for("ln1, head", "q ends it")
    fcntl.ioctl(terminal.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 20, COLUMNS, 0, 0))
    terminal.screen.resize(20, COLUMNS)
    os.killpg(terminal.process.pid, signal.SIGWINCH)
    terminal.wait_for("lines 1–19 of")
    terminal.press("j")
    terminal.wait_for("lines 2–20 of")
    terminal.press("G")
    text = terminal.wait_for("Found .* of 1 config")
    last = re.search(r"–(\d+) of (\d+)", text)
    assert last[1] == last[2]
    terminal.press("g")
    terminal.wait_for("lines 1–19 of", "watching config.py")


def test_a_saved_plan_is_watched_too(tmp_path):
    plan = (PLANS / "vit-base_layer-decay.json").read_text()
    (tmp_path / "plan.json").write_text(plan)
    terminal = Terminal("watch", "plan.json", cwd=tmp_path)
    try:
        terminal.wait_for("watching plan.json", "13 ln1, head")
        # At the end of a line as wide as the terminal, xterm would erase its last character.
        assert re.findall(rb"(..)\x1b\[K", terminal.seen)
        assert {*re.findall(rb"(..)\x1b\[K", terminal.seen)} <= {b"\r\n", b"[H"}
        edit(tmp_path / "plan.json", '"lr": 0.004', '"lr": 0.005')
        terminal.wait_for("0.004 → 0.005")
    finally:
        terminal.close()


def test_a_revision_is_not_watched(tmp_path):
    (tmp_path / "config.py").write_text(TINY_VIT)
    commit(tmp_path)
    result = lldtool_process("watch", "config.py@HEAD", cwd=tmp_path)
    assert (result.code, result.out) == (2, "")
    assert result.err == "error: config.py@HEAD: a revision does not change\n"


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_without_a_terminal_it_says_so(tmp_path, term):
    (tmp_path / "config.py").write_text(TINY_VIT)
    result = lldtool_process("watch", "config.py", cwd=tmp_path, TERM=term)
    assert (result.code, result.out) == (2, "")
    assert result.err == (
        "error: watch needs a terminal that it can draw on "
        "(lldtool inspect config.py prints the table once)\n"
    )
