"""ONNX Runtime with its telemetry off. Only this module imports it.

Its releases from 1.29 on look up a host of the vendor and write a device id below the home directory, unless this
variable is set before the import. Source: onnxruntime, docs/Privacy.md.
"""

import os

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

__all__ = ["onnxruntime"]
