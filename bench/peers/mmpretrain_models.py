"""The bare import of mmpretrain with its models, as every script that builds one has it."""

import mmpretrain.models  # noqa: F401
