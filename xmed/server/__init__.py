"""Servers of one home: Prefect, MLflow and PostgreSQL up and down, backup and restore, the doctor."""
