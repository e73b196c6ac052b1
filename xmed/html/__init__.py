"""HTML: what every page shares: templates, axes, slices, escaping, and numbers that can be traced to a document."""
