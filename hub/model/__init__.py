"""Neural networks that compare clips, and their checkpoints.

| module | what it holds |
|---|---|
| `siamese` | the paper's network and its variants |
| `tagger` | the network that ships |
| `identity` | vectors that distinguish sources |
| `match_probability`, `calibration` | conversion of scores to probabilities |
| `sketch` | short vectors that imitate a Siamese network's score |
| `checkpoint` | a network as one safetensors file |
"""
