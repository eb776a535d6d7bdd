"""The study's printed numbers, and others' on the same images, as data: what ours are shown beside.

Tables V and VI, the figures' numbers and the proposed model's metrics are from Mantri, Khan and Jadhav (2024),
"Leukemia Diagnosis using Transfer Learning: An Efficient Approach". All figures are in percent, as printed.
"""

from __future__ import annotations

from dataclasses import dataclass

STUDY = "Mantri, Khan and Jadhav 2024"
TEST_SAMPLES = 1600  # the captions of its figures 3 and 6


@dataclass(frozen=True)
class PaperRow:
    """A row of Table V: the name that models.<row> in params.yaml gives it, its printed name and reported accuracy."""

    row: str
    printed: str
    accuracy: float


TABLE_V = (
    PaperRow("vgg16", "VGG-16", 83.78),
    PaperRow("inceptionv3", "InceptionV3", 84),
    PaperRow("efficientnetb3", "EfficientNet", 84.5),
    PaperRow("mobilenetv2", "MobileNetV2", 88.89),
    PaperRow("densenet121", "DenseNet121", 89),
    PaperRow("resnet18", "ResNet18", 89.33),
    PaperRow("resnet50", "ResNet50", 90),
    PaperRow("modified_vgg16", "Modified VGG-16", 93.46),
    PaperRow("modified_mobilenet", "Modified MobileNet", 95.87),
    PaperRow("modified_efficientnetb3_unregularized", "Modified EfficientNetB3 without L1 and L2 regularizers", 94.43),
    PaperRow("proposed_efficientnetb3", "Proposed EfficientNetB3", 96.87),
)

PROPOSED = {"accuracy": 96.87, "precision": 97.58, "recall": 96.24, "f1": 96.9}

FIGURES = {
    ("proposed_efficientnetb3", "confusion"): 3,
    ("proposed_efficientnetb3", "accuracy"): 4,
    ("proposed_efficientnetb3", "loss"): 5,
    ("modified_mobilenet", "confusion"): 6,
    ("modified_mobilenet", "accuracy"): 7,
    ("modified_mobilenet", "loss"): 8,
}
"""The study's number for a figure that we draw, by row and figure."""


@dataclass(frozen=True)
class EarlierWork:
    """A row of Table VI: who, the printed F1 in percent, and which F1 on which images that number is."""

    who: str
    f1: float
    measures: str


_CHALLENGE = "weighted F1 of both classes, unseen subjects (ISBI 2019 challenge)"
_UNSEEN = "weighted F1 of both classes, unseen subjects (by the challenge's organisers)"
_UNCHECKED = "as printed; which F1 and which split was not checked here"

TABLE_VI = (
    EarlierWork("Ma 2019", 85.80, _CHALLENGE),
    EarlierWork("Pan 2019", 91.0, _CHALLENGE),
    EarlierWork("Verma 2019", 89.4, _CHALLENGE),
    EarlierWork("Prellberg 2019", 88.9, _CHALLENGE),
    EarlierWork("Xiao 2019", 88.5, _CHALLENGE),
    EarlierWork("Liu 2019", 87.6, _CHALLENGE),
    EarlierWork("Ding 2019", 85.5, _CHALLENGE),
    EarlierWork("Honnalgere 2019", 91.7, _CHALLENGE),
    EarlierWork("Mathur 2020", 91.89, _UNCHECKED),
    EarlierWork("Gehlot 2020", 94.86, _UNCHECKED),
    EarlierWork("Goswami 2020", 95.26, _UNSEEN),
    EarlierWork("de Oliveira 2021", 92.60, _UNCHECKED),
    EarlierWork("Lamberti 2022", 90.10, _UNCHECKED),
    EarlierWork("Das 2022", 91.48, _UNCHECKED),
    EarlierWork("Sulaiman 2023", 92.90, _UNCHECKED),
    EarlierWork(f"the study itself ({STUDY})", 96.90, "F1 of ALL alone, very likely a random split by image"),
)

UNSEEN_SUBJECTS = (
    ("Pan 2019, challenge winner", "weighted F1 92.50 preliminary set, 91.04 final set"),
    ("Prellberg 2019", "weighted F1 89.8 preliminary, 88.9 final; AUROC 0.956 preliminary"),
    ("Marzahl 2019", "weighted F1 87.5 preliminary"),
    ("Goswami 2020", "weighted F1 95.26, an ensemble of 7 folds"),
    (
        "Albzour 2026, EfficientNet-B1",
        "AUROC 0.913, sensitivity 0.87, specificity 0.80, training set to preliminary set",
    ),
)
"""Published results on subjects that the model had not seen, as their authors print them, without intervals."""


@dataclass(frozen=True)
class ConfusionMatrix:
    """Counts with ALL as the positive class, and what they give in percent."""

    tp: int
    fp: int
    fn: int
    tn: int

    @property
    def accuracy(self) -> float:
        """Percent of all samples."""
        return 100 * (self.tp + self.tn) / (self.tp + self.fp + self.fn + self.tn)

    @property
    def precision(self) -> float:
        """Percent of the samples called ALL."""
        return 100 * self.tp / (self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Percent of the ALL samples."""
        return 100 * self.tp / (self.tp + self.fn)

    @property
    def share_all(self) -> float:
        """Percent of ALL samples among all."""
        return 100 * (self.tp + self.fn) / (self.tp + self.fp + self.fn + self.tn)

    def distance(self, printed: dict[str, float]) -> float:
        """The largest of its three distances from printed accuracy, precision and recall, in percentage points."""
        return max(abs(getattr(self, name) - printed[name]) for name in ("accuracy", "precision", "recall"))


def nearest_matrix(printed: dict[str, float], samples: int = TEST_SAMPLES) -> ConfusionMatrix:
    """The confusion matrix of this many samples whose accuracy, precision and recall come nearest to the printed ones.

    It is searched for among all numbers of ALL samples; given one, recall and precision leave a few candidates each.
    """
    best: ConfusionMatrix | None = None
    for positives in range(1, samples):
        hits = round(positives * printed["recall"] / 100)
        for tp in {max(hits - 1, 1), max(hits, 1), min(hits + 1, positives)}:
            false = round(tp * (100 / printed["precision"] - 1))
            for fp in range(max(false - 2, 0), min(false + 3, samples - positives + 1)):
                matrix = ConfusionMatrix(tp, fp, positives - tp, samples - positives - fp)
                if best is None or matrix.distance(printed) < best.distance(printed):
                    best = matrix
    if best is None:
        raise ValueError(f"{samples} samples are too few for both classes")
    return best
