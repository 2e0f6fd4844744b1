"""`python -m robult_core` is `robult`."""

from robult_core.cli import main

if __name__ == "__main__":
    main()
