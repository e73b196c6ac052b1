"""xmed: volumes come in, a method learns from them, evaluate judges, report shows, registry keeps."""

__version__ = "0.1.0"
