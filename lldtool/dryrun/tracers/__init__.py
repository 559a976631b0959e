"""The rules of the constructors that lldtool knows, a file each; found by entry points."""
