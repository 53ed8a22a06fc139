"""How syncs are run: in a project of their own, in processes, with a limit of time."""
