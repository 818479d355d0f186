"""Compare clips by neural networks, and keep these as checkpoints.

| module | what it holds |
|---|---|
| `siamese` | the paper's network and its variants |
| `tagger` | the network that ships |
| `identity` | vectors that tell one source from another |
| `match_probability`, `calibration` | from scores to probabilities |
| `sketch` | short vectors that imitate a Siamese network's score |
| `checkpoint` | a network as one safetensors file |
"""
