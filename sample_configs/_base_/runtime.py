# The base of vit-small_pure-python.py.
default_scope = 'mmpretrain'
train_cfg = dict(by_epoch=True, max_epochs=100)
log_level = 'INFO'
