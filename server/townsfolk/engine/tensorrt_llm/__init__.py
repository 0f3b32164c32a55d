"""The engine over NVIDIA's TensorRT-LLM (Linux, NVIDIA GPU). ``api.py`` is the one module that touches its API."""
