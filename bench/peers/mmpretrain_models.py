"""Import mmpretrain with its models, as every script that builds one does."""

import mmpretrain.models  # noqa: F401
