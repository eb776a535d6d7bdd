"""Table VI of the study, which ranks unlike numbers in one column, and published results on unseen subjects.

What a number measures is told where the study, the challenge or the work's own abstract says it: Pan 2019 (doi
10.1007/978-981-15-0798-4_8), Goswami 2020 (arXiv 2003.03295). Everything else is NOT_STATED, never guessed.
"""

from __future__ import annotations

from dataclasses import dataclass

from leukoscope.report.paper_tables import STUDY

NOT_STATED = "not stated"
WEIGHTED = "weighted F1 of both classes"
FINAL = "challenge, final test set"
CHALLENGE = "challenge, which set is not stated"


@dataclass(frozen=True)
class EarlierWork:
    """A row of Table VI: who, the printed F1 in percent, and what kind of number it is.

    `unit` is what the split kept apart, subject or image. `transductive` says whether the test images themselves took
    part in labelling one another, `ensemble` whether several models were joined.
    """

    who: str
    f1: float
    measure: str = "F1, which one is not stated"
    images: str = NOT_STATED
    unit: str = NOT_STATED
    transductive: str = NOT_STATED
    ensemble: str = NOT_STATED


def _of_challenge(who: str, f1: float, ensemble: str = NOT_STATED, images: str = CHALLENGE) -> EarlierWork:
    return EarlierWork(who, f1, WEIGHTED, images, "subject", ensemble=ensemble)


TABLE_VI = (
    _of_challenge("Ma 2019", 85.80, "yes"),
    EarlierWork("Pan 2019", 91.0, WEIGHTED, FINAL, "subject", transductive="yes: neighbours among test cells vote"),
    _of_challenge("Verma 2019", 89.4),
    _of_challenge("Prellberg 2019", 88.9, images=FINAL),
    _of_challenge("Xiao 2019", 88.5, "yes"),
    _of_challenge("Liu 2019", 87.6, "yes, bagging"),
    _of_challenge("Ding 2019", 85.5, "yes, three backbones"),
    _of_challenge("Honnalgere 2019", 91.7),
    EarlierWork("Mathur 2020", 91.89),
    EarlierWork("Gehlot 2020", 94.86),
    EarlierWork("Goswami 2020", 95.26, WEIGHTED, "C-NMC 2019, unseen subjects", "subject", ensemble="yes, of 7 folds"),
    EarlierWork("de Oliveira 2021", 92.60),
    EarlierWork("Lamberti 2022", 90.10),
    EarlierWork("Das 2022", 91.48),
    EarlierWork("Sulaiman 2023", 92.90),
    EarlierWork(
        f"the study itself ({STUDY})", 96.90, "F1 of ALL alone", "1,600 test samples", "image (inferred)", "no", "no"
    ),
)

UNSEEN_SUBJECTS = (
    ("Pan 2019, challenge winner", "weighted F1 92.50 preliminary set, 91.04 final set"),
    ("Prellberg 2019", "weighted F1 89.8 preliminary, 88.9 final; AUROC 0.956 preliminary"),
    ("Marzahl 2019", "weighted F1 87.5 preliminary; 92.65 by majority vote of a subject's cells"),
    ("Goswami 2020", "weighted F1 95.26, an ensemble of 7 folds"),
    (
        "Albzour 2026, EfficientNet-B1",
        "AUROC 0.913, sensitivity 0.87, specificity 0.80, calibration error 0.024, training set to preliminary set",
    ),
)
"""Published results on subjects that the model had not seen, as their authors print them, without intervals."""
