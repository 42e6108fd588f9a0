"""``python -m spex_mech``: the command line, as ``spex-mech``."""

from spex_mech.cli import main

if __name__ == "__main__":
    main()
