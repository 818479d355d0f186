"""Train, calibrate and evaluate networks; only `hub.cli` imports it.

`datasets/` reads data; `train_siamese` and `train_tagger` train the two kinds of network; `evaluation` measures
retrieval; `paper/` holds the paper's variants and the experiments behind docs/results.md; `distillation/` makes the
backbone `earwitness-small`; `edge_export/` writes VGGish for sensors; `onnx_graph` writes ONNX graphs for both.
"""
