"""Forms that a dataset may be given in, one module each; :mod:`dejavu.data.forms.registry` chooses between them."""
