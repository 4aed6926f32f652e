"""The front door: the `pairloop` command, the workspace and the demo."""
