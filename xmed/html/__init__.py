"""HTML: what all pages share: templates, axes, slices, escaping, and numbers that can be traced to a document."""
