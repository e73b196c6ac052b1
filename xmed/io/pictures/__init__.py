"""Read PNG and JPEG files as volumes of one slice."""
