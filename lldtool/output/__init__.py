"""Plan -> terminal, JSON, CSV, Markdown, HTML. Everything here returns text; only `cli` prints."""
