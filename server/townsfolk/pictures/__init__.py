"""Pictures out of prompts: Stable Diffusion XL in a process of its own, or a ComfyUI or AUTOMATIC1111 server."""
