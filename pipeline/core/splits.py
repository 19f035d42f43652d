"""The splits of every corpus by name, in the order in which tables show them."""

SPLITS = ("train", "val", "test")
