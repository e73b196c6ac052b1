from .calibration import (
    Calibration as Calibration,
    measure_calibration as measure_calibration,
    pairwise_dice as pairwise_dice,
    scored_region as scored_region,
    soft_dice_confidence as soft_dice_confidence,
)
from .conventions import (
    BOTH_EMPTY as BOTH_EMPTY,
    CONVENTIONS as CONVENTIONS,
    CROSSCHECK as CROSSCHECK,
    NO_MM as NO_MM,
    TRAPS as TRAPS,
)
from .masks import (
    assd as assd,
    components as components,
    dice as dice,
    hd as hd,
    hd95 as hd95,
    measure_structure as measure_structure,
    nsd as nsd,
    volume_ml as volume_ml,
)
