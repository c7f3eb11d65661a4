"""How many bytes a call may take, so that a small file or argument cannot ask for all there are."""

from __future__ import annotations

from lenet_c import _core


def set_memory_limit(limit: int | None) -> None:
    """Set how many bytes a call may take at most: 2 GiB until this is called.

    Counted are a call's workspace, the arrays that it gives, and a copy of images that are not
    contiguous; of `LeNet5(architecture)` its parameters. The caller's own images do not count, nor
    does what is kept between calls. A call that wants more raises MemoryError before it takes
    any, and says for what. Where `num_threads` is not given, a call first makes do with fewer
    threads, each of which has memory of its own; results are the same bits.

    Parameters
    ----------
    limit : int or None
        For all threads of this process. None: no limit.

    Raises
    ------
    TypeError, ValueError
        Unless `limit` is a whole number from 1 on, or None.

    Examples
    --------
    >>> set_memory_limit(2 << 30)
    """
    _core.set_memory_limit(limit)


def get_memory_limit() -> int | None:
    """Give how many bytes a call may take at most.

    Returns
    -------
    int or None
        None: there is no limit.
    """
    return _core.get_memory_limit()
