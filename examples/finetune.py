#!/usr/bin/env python3
"""Writes pretrained.safetensors, which finetune.c starts from: a PyTorch net that has learnt ten
digits from the first 900 images, its state_dict as halves.

    pip install torch safetensors
    python3 finetune.py ../data/small/digits.csv pretrained.safetensors
"""
import sys

import torch
from safetensors.torch import save_file


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer1 = torch.nn.Linear(64, 64)
        self.layer2 = torch.nn.Linear(64, 32)
        self.head = torch.nn.Linear(32, 10)

    def forward(self, x):
        return self.head(torch.relu(self.layer2(torch.relu(self.layer1(x)))))


torch.manual_seed(1)
rows = torch.tensor([[int(v) for v in line.split(',')] for line in open(sys.argv[1])])
x, y = rows[:900, :64] / 16, rows[:900, 64]
net = Net()
adam = torch.optim.AdamW(net.parameters(), 0.003, weight_decay=0.1)
for epoch in range(60):
    for batch in torch.randperm(len(x)).split(64):
        loss = torch.nn.functional.cross_entropy(net(x[batch]), y[batch])
        adam.zero_grad()
        loss.backward()
        adam.step()
save_file({name: w.half() for name, w in net.state_dict().items()}, sys.argv[2])
