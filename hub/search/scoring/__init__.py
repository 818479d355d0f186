"""Score pairs of events with one checkpoint.

`scorer` scores exactly and quickly; `rankers`, `int8` and `fused_taggers` are the quick forms of networks; `sketches`
makes the vectors that candidates are found by; `identities` compares sources; `top_k` picks the best.
"""
