"""The hub's networks as ONNX files for sensors: `vggish_graph` builds VGGish, `vggish_export` writes and compares it.

Needs the optional dependencies `export`; sensors need none of them.
"""
