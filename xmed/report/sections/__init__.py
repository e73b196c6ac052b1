"""Sections of the report, one folder each; `xmed.report.section_registry` says what is in a folder."""
