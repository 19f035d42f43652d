"""What the import hook of conftest.py puts on every function of `models/` and `pipeline/`."""

from beartype import BeartypeConf, beartype

# an int is a float, as for mypy (PEP 484)
check = beartype(conf=BeartypeConf(is_pep484_tower=True))
