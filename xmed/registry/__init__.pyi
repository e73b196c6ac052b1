from .approval import approve as approve, check_version as check_version, decided as decided, withdraw as withdraw
from .drift_reference import log_check as log_check, reference_of as reference_of, report_of as report_of
from .fetch_model import fetch as fetch, version_of as version_of
from .ledger import check_name as check_name, verify_audit as verify_audit
from .package import has_artifacts as has_artifacts
from .registration import ALIASES as ALIASES, holder as holder, register as register, versions as versions
from .report_relink import relink as relink, unsigned as unsigned
from .tracked_runs import log_run as log_run, orphans as orphans
