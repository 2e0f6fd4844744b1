"""`python -m robult_study` is `robult`."""

from robult_study.cli import main

if __name__ == "__main__":
    main()
