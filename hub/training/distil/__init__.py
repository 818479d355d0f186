"""How `earwitness-small` was made: a small network learns to hear as YAMNet does.

| step | module |
|---|---|
| recordings to learn from: Debian packages, your own folders, synthetic scenes | `packages`, `bank` |
| unlimited mixtures of them, as log-mel patches | `mixtures` |
| what YAMNet says of each | `teacher` |
| a convolutional network that says the same | `student`, `learning` |
| the feature space that ships: one ONNX file and its description | `export` |

Needs the optional dependencies `distil`, of which nothing is shipped. Decision 0007 says why.
"""
