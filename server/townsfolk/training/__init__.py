"""Training of a persona's LoRA adapter (``townsfolk train``). Needs the extra ``townsfolk[train]``."""
