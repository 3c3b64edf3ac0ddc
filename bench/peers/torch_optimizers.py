"""Optimizer steps in PyTorch for torch_kernels.py: fused AdamW and SGD over all parameters, and the norm of all gradients."""

import torch


def case(context, name):
    """(inputs, forward) of gradNorm, adamw or sgd; bf16 parameters are copies of f32 masters, as anneal keeps them."""
    count = context.parameters // context.parameterTensors
    tensors = range(context.parameterTensors)

    def gradients():
        return [1e-3 * context.random(count, dtype=torch.float32) for _ in tensors]

    if name == "gradNorm":
        return lambda: [gradients()], lambda values: torch.nn.utils.get_total_norm(values, foreach=True)

    def inputs():
        masters = [torch.nn.Parameter(0.02 * context.random(count, dtype=torch.float32)) for _ in tensors]
        for master, gradient in zip(masters, gradients()):
            master.grad = gradient
        if name == "adamw":
            optimizer = torch.optim.AdamW(masters, lr=1e-6, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
        else:
            optimizer = torch.optim.SGD(masters, lr=1e-6, momentum=0.9, weight_decay=0.1, fused=True)
        copies = [m.detach().to(torch.bfloat16) for m in masters] if context.name == "bf16" else []
        return [optimizer, [m.detach() for m in masters], copies]

    def step(optimizer, masters, copies):
        optimizer.step()
        if copies:
            torch._foreach_copy_(copies, masters)

    return inputs, step
