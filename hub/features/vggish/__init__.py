"""The VGGish feature extractor and its published weights.

`extractor` runs the network; `fetch` downloads (`download`), verifies (`published`) and converts (`convert`) weights.
"""
