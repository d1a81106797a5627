#!/usr/bin/env python3
"""Writes sequential.safetensors: the state_dict of a PyTorch Sequential as a program saves it, and
sequential_told.safetensors: what it makes of some inputs. Read by tests/test_export.c.

    pip install torch safetensors; python3 make_sequential.py
"""
import torch
from safetensors.torch import save_file


class Residual(torch.nn.Module):
    def __init__(self, *modules):
        super().__init__()
        self.body = torch.nn.Sequential(*modules)

    def forward(self, x):
        return x + self.body(x)


torch.manual_seed(1)
nn = torch.nn
net = nn.Sequential(
    nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5),
    Residual(nn.LayerNorm(4), nn.Linear(4, 4), nn.GELU()),
    nn.RMSNorm(4, eps=1e-5), nn.Linear(4, 2)).eval()
x = torch.randn(5, 3)
with torch.no_grad():
    for p in net.parameters():
        p += torch.randn_like(p) / 4
    save_file(net.state_dict(), 'sequential.safetensors')
    save_file({'x': x, 'y': net(x)}, 'sequential_told.safetensors')
