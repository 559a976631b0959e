"""A plan -> what the rules report on it, as diagnostics."""
