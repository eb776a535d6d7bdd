"""The study's printed numbers as data: what ours are shown beside, and what does not fit together.

Table V, the figures' numbers and the proposed model's metrics are from Mantri, Khan and Jadhav (2024),
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

PROPOSED_ROW, UNREGULARIZED_ROW = "proposed_efficientnetb3", "modified_efficientnetb3_unregularized"
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


INCONSISTENCIES = (
    f"Accuracy {PROPOSED['accuracy']} %, precision {PROPOSED['precision']} % and recall {PROPOSED['recall']} % follow "
    f"from no confusion matrix of {TEST_SAMPLES:,} samples, which is what figure 3 says it shows.",
    "No split is stated: neither how test images were chosen, nor whether validation images were kept apart, nor "
    "whether subjects were.",
    "The text counts 15,135 images, Table I adds up to 15,114.",
    "Training accuracy is 100 %, so the whole network was trained; the text does not say which layers were.",
    'The row "EfficientNet" names no size (read here as B3), and "Modified MobileNet" no version (read here as V2).',
    'Table III leaves open how the feature map is pooled; its batch normalization over "axis 1" is read here as that '
    "of the pooled features. Shear is given in percent, which the generator takes as degrees.",
    "Fewer parameters and epochs than its peers are claimed and neither is printed: Table V here has both.",
    "Table VI sets the study's F1 of ALL alone beside weighted F1 of both classes.",
    "Table VI gives Prellberg and Kramer 88.9, the text 89.91 % accuracy. Kasani's 96.17 % accuracy, in the text, is "
    "not in the table.",
    "The reference of Table VI's last earlier row (Sulaiman 2023, 92.90) is about lung diseases in chest X-rays.",
)
"""Where the study contradicts itself, or leaves open what its numbers need."""


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
