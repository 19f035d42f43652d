"""Root reads everything; within this context a test reads what any other account may read."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

VERSION = 0x20080522  # of the kernel's interface, _LINUX_CAPABILITY_VERSION_3
OVERRIDES = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH


class Head(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class Rights(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint32) for name in ("effective", "permitted", "inheritable"))


@contextmanager
def unprivileged() -> Iterator[None]:
    """No right to pass over the modes of files, for this thread; other accounts have none anyhow."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    head, rights = Head(VERSION, 0), (Rights * 2)()
    if libc.capget(ctypes.byref(head), rights):
        raise OSError(ctypes.get_errno(), "capget")
    former = rights[0].effective
    rights[0].effective = former & ~OVERRIDES
    if libc.capset(ctypes.byref(head), rights):
        raise OSError(ctypes.get_errno(), "capset")
    try:
        yield
    finally:
        rights[0].effective = former
        libc.capset(ctypes.byref(head), rights)
