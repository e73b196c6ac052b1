"""Records: one frozen type for each JSON document that one room writes and another reads.

`Run.read(Training, "adapted", 0)` reads a document of a run, `xmed.records.record.read_record(kind, path)` any other
one, and `xmed.records.schemas.schemas()` describes them all. A record is imported from its module, so that a light
command builds only the types that it reads.
"""
