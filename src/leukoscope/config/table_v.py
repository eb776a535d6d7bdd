"""The rows of Table V: what each says beside `model_defaults` in params.yaml, under the name of its stages and results.

Plain rows are global average pooling and one Dense layer on a backbone; modified rows have Table III's head.
The study's figures for them are in `leukoscope.report.paper_tables`.
"""

from __future__ import annotations

from typing import Any

PLAIN: dict[str, Any] = {"pooling": "avg", "head": "plain"}

ROWS: dict[str, dict[str, Any]] = {
    "vgg16": {"backbone": "vgg16", **PLAIN},
    "inceptionv3": {"backbone": "inceptionv3", **PLAIN},
    "efficientnetb3": {"backbone": "efficientnetb3", **PLAIN},
    "mobilenetv2": {"backbone": "mobilenetv2", **PLAIN},
    "densenet121": {"backbone": "densenet121", **PLAIN},
    "resnet18": {"backbone": "resnet18", **PLAIN},
    "resnet50": {"backbone": "resnet50", **PLAIN},
    "modified_vgg16": {"backbone": "vgg16"},
    "modified_mobilenet": {"backbone": "mobilenetv2"},
    "modified_efficientnetb3_unregularized": {
        "backbone": "efficientnetb3",
        "kernel_l2": 0.0,
        "activity_l1": 0.0,
        "bias_l1": 0.0,
    },
    "proposed_efficientnetb3": {"backbone": "efficientnetb3"},
}
