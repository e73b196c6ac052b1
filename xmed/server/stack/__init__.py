"""The stack of `xmed up`: PostgreSQL, MLflow, Prefect and a worker for one home, without containers."""
