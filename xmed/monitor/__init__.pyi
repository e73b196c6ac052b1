from .document import compose_drift_check as compose_drift_check
from .drift_page import (
    build_drift_check as build_drift_check,
    drift_schema as drift_schema,
    read_drift_check as read_drift_check,
)
from .measure import Bench as Bench, by_patient as by_patient
from .validated_data import keep as keep
