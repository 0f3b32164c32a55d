"""Makes an engine process over the double believe that its PyTorch was built for CUDA."""

import townsfolk.engine.gpu

townsfolk.engine.gpu.torch_cuda = lambda: "13.0"
