"""Files: atomic writes, digests, documents, archives, permissions: everything that touches the disk in the same way."""
