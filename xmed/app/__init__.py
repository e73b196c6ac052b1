"""Jobs: one module for each whole job of xmed, in plain Python, without Prefect."""
