#!/usr/bin/env python3
"""Writes modules.safetensors: weights of PyTorch modules as a program saves them, and what the modules
make of some inputs. Read by tests/test_stores.c.

    pip install torch safetensors; python3 make_modules.py
"""
import torch
from safetensors.torch import save_file

torch.manual_seed(1)
net = torch.nn.ModuleDict({
    'mlp': torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2)),
    'lstm': torch.nn.LSTMCell(3, 4),
    'gru': torch.nn.GRUCell(3, 4),
    'norm': torch.nn.BatchNorm1d(3)})  # its num_batches_tracked is an I64
x, h, c = torch.randn(5, 3), torch.randn(5, 4), torch.randn(5, 4)
with torch.no_grad():
    h1, c1 = net['lstm'](x, (h, c))
    told = {'x': x, 'h': h, 'c': c, 'y': net['mlp'](x), 'h1': h1, 'c1': c1, 'g1': net['gru'](x, h)}
# All that a half has: normal and subnormal numbers, both zeros, the largest and the smallest.
halves = torch.tensor([0, 0x8000, 1, 0x83ff, 0x400, 0x3c00, 0xbc01, 0x7bff, 0xfbff, 0x3555, 0x1234,
                       0x9abc], dtype=torch.uint16).view(torch.float16).reshape(3, 4)
brains = torch.tensor([0, 0x8000, 1, 0x807f, 0x80, 0x3f80, 0xbf81, 0x7f7f, 0xff7f, 0x3eab, 0x1234,
                       0x9abc], dtype=torch.uint16).view(torch.bfloat16).reshape(3, 4)
save_file({**net.state_dict(), **{'told.' + k: v.contiguous() for k, v in told.items()},
           'f16': halves, 'bf16': brains, 'f16.wide': halves.double(),
           'bf16.wide': brains.double(), 'mask': torch.tensor([True, False, True])},
          'modules.safetensors', metadata={'format': 'pt'})
