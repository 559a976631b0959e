"""Does what a finding's suggestion says, as a person would by hand."""

import re

from lldtool.config.locations import Sources

WHERE = re.compile(r"# in (?P<inside>.*?)(?:, (?P<what>instead of|delete) (?P<old>'.*'))?")


def pasted(suggestion, path):
    """The config after a user did what the suggestion says."""
    where, entries = None, []
    for line in [*suggestion.splitlines(), None]:
        starts = line is None or WHERE.fullmatch(line)
        if starts and where is not None:
            path.write_text(paste(where, "\n".join(entries), path))
        if starts:
            where, entries = starts, []
        elif where is None:
            path.write_text(f"{path.read_text()}\n{line}\n")
        else:
            entries.append(line)
    return path.read_text()


def paste(where, entries, path):
    text, inside = path.read_text(), tuple(keys(where["inside"], path))
    if where["what"] is None:
        start, _ = offset(text, Sources(path).entry(inside).value_location)
        opening = re.compile(r"dict\(|\{").match(text, start).end()
        return f"{text[:opening]}{entries}\n{text[opening:]}"
    for old in re.findall(r"'([^']*)'", where["old"]):
        found = Sources(path).entry((*inside, old))
        start, _ = offset(text, found.location)
        _, end = offset(text, found.value_location)
        after = re.compile(r"\s*,?").match(text, end).end()
        text = f"{text[:start]}{entries}{text[after:]}"
        path.write_text(text)
        entries = ""
    return text


def keys(dotted, path):
    """`a.b.custom_keys..ln` -> the parts, of which a custom key may have dots."""
    head, found, rest = dotted.partition(".custom_keys.")
    return [*head.split("."), "custom_keys", rest] if found else dotted.split(".")


def offset(text, location):
    lines = text.splitlines(keepends=True)
    before = sum(map(len, lines[: location.line - 1])) + location.column - 1
    end = sum(map(len, lines[: location.end_line - 1])) + location.end_column - 1
    return before, end
