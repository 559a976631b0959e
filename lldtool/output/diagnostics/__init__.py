"""Report -> what `lldtool check` writes, a module for each format."""
