"""Score pairs of events with one checkpoint.

`scorer` scores exactly and quickly. `rankers`, `int8` and `fused_taggers` are fast forms of networks. `sketches`
computes the vectors that find candidates. `identities` compares sources. `top_k` selects the best.
"""
