"""Forms of raw data, one module each. :mod:`dejavu.data.forms.registry` chooses the form of a dataset."""
