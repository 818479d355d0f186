"""Train the backbone `earwitness-small`: a small network learns the outputs of YAMNet.

| step | module |
|---|---|
| recordings: Debian packages, your own folders, synthetic scenes | `debian_packages`, `spectrogram_bank` |
| unlimited mixtures of them, as log-mel patches or sound | `mixtures`, `sound_mixtures`, `mixer` |
| the teacher's output for each | `teacher`, `teacher_manifest`, `yamnet` |
| a convolutional network with the same output | `student`, `distillation` |
| labelled clips for the retrieval model | `labelled_mixtures` |
| the feature space that ships: one ONNX file and its description | `onnx_export` |
| all steps in order | `pipeline` |

Needs the optional dependencies `distil`; the product contains none of them. Decision 0007 gives the reasons.
"""
