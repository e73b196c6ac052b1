from .build_report import (
    identity_now as identity_now,
    read_report as read_report,
    report_schema as report_schema,
    write_report as write_report,
)
from .compose_report import numbers_digest as numbers_digest
from .sections.previous_version.compute import prior_of as prior_of
from .verdict import unsupported_today as unsupported_today
from .verify import verify_report as verify_report
