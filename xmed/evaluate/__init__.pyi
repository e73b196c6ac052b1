from .dicom_objects import write_objects as write_objects
from .evaluate_run import evaluate as evaluate, judged as judged
from .remeasure import remeasure as remeasure
from .repredict import repredict as repredict
