default_scope = 'mmdet'
