"""Files: atomic writes, digests, documents, archives and permissions, shared by everything that uses the disk."""
