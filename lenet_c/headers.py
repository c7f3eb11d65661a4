"""Where the header of the C interface is."""

from __future__ import annotations

from pathlib import Path

__all__ = ["get_include"]


def get_include() -> str:
    """Give the folder of ``lenet.h``, for a C compiler's ``-I``.

    Returns
    -------
    str
        A folder of the installed library, or ``csrc`` of the checkout that is imported.

    Raises
    ------
    FileNotFoundError
        If the header is in neither: the library was installed without it.

    Examples
    --------
    In a shell::

        cc -c -I"$(python -c 'import lenet_c; print(lenet_c.get_include())')" reader.c
    """
    package = Path(__file__).resolve().parent
    folders = (package / "include", package.parent / "csrc")
    for folder in folders:
        if (folder / "lenet.h").is_file():
            return str(folder)
    raise FileNotFoundError(
        f"lenet.h: got neither {folders[0]} nor {folders[1]} with it, want a wheel or a checkout; "
        "pip install --force-reinstall lenet_c brings it"
    )
