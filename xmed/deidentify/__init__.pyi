from .deidentify_folder import Outcome as Outcome, Withheld as Withheld, deidentify_files as deidentify_files
from .description import explain_rules as explain_rules, explanation_lines as explanation_lines
from .dicom_file import Face as Face, Policy as Policy, clean_header as clean_header
from .key import Crosswalk as Crosswalk, Secret as Secret
