"""`python -m incidents_dagster`: the command line of `cli`."""

from incidents_dagster.cli import main

if __name__ == "__main__":
    main()
