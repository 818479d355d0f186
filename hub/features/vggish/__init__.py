"""Extract VGGish features, and get VGGish's published weights.

`extractor` runs the network; `fetch` downloads (`download`), verifies (`published`) and converts (`convert`) weights.
"""
