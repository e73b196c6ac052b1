"""Stack: PostgreSQL, MLflow, Prefect and a worker that stand by for one home, without containers."""
