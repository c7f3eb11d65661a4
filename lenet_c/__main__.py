"""The command `lenet-c`, also as `python -m lenet_c`.

Ctrl-C is heard before anything large is imported, and no longer once all is done.
"""

import os
import signal
import sys


def _quit(*_: object) -> None:
    """End at once: an exception might be lost in what is being imported."""
    try:
        os.write(2, b"lenet-c: interrupted\n")
    finally:
        os._exit(130)


def main() -> int:
    """Run the command.

    Returns
    -------
    int
        The exit code.
    """
    # nohup and a shell's background jobs ignore it, and go on doing so
    listens = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        if listens:
            signal.signal(signal.SIGINT, _quit)
        try:
            from lenet_c import cli
        except ImportError as error:  # say of the C core, in a checkout that was not built
            print(f"lenet-c: error: {error}", file=sys.stderr)
            return 2
        if listens:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return cli.main()
        finally:
            if listens:
                signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:  # where cli.main does not hear it: in its first and last lines
        return cli.fail("interrupted", 130)


if __name__ == "__main__":
    sys.exit(main())
