"""Score pairs of events with one checkpoint.

`scorer` scores exactly and quickly, with the parts that `network_parts` makes of a network; `tags` computes what a
tagged network needs no pair layers for; `rankers`, `int8` and `fused_taggers` are the quick forms of networks;
`sketches` makes the vectors that candidates are found by; `identities` compares sources; `fingerprint` identifies the
weights; `top_k` picks the best.
"""
