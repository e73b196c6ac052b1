"""Console: what a terminal shows: progress, tables, and text without control characters."""
