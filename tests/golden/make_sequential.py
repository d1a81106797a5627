#!/usr/bin/env python3
"""Writes sequential.safetensors: the state_dict of a PyTorch Sequential as a program saves it, and
sequential_told.safetensors: what it makes of some inputs. Read by tests/test_export_files.c. And the same
of a net with batch norm, before and after it was trained, for tests/test_batchnorm.c.

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

# Batch norm: images, and numbers behind them; the state_dict before and after steps of SGD.
net = nn.Sequential(
    nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
    nn.Linear(4 * 3 * 2, 6), nn.BatchNorm1d(6, eps=1e-3), nn.Tanh(), nn.Linear(6, 3))
x, labels = torch.randn(8, 6, 5, 2) * 3 + 1, torch.arange(8) % 3
with torch.no_grad():
    for p in net.parameters():
        p += torch.randn_like(p) / 4
save_file(net.state_dict(), 'batchnorm.safetensors')
sgd = torch.optim.SGD(net.parameters(), lr=0.05)
for _ in range(5):
    sgd.zero_grad()
    nn.functional.cross_entropy(net(x.permute(0, 3, 1, 2)), labels).backward()
    sgd.step()
save_file(net.state_dict(), 'batchnorm_trained.safetensors')
with torch.no_grad():
    y = net.eval()(x.permute(0, 3, 1, 2)).softmax(1)
save_file({'x': x.reshape(8, 60).contiguous(), 'y': y}, 'batchnorm_told.safetensors')
