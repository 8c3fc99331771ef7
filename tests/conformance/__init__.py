"""The backend tests of the onnx package, through convc: ``python -m tests.conformance``."""
