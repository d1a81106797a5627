#!/usr/bin/env python3
"""The CNN that `bench/practice.py images` trains on Fashion-MNIST, in PyTorch with its own first
weights: the same layers, Adam, batches, epochs, cosine of the rate and normalised pixels. Its lines
go behind the others: torch_fashion.py FOLDER [SEEDS] >> bench/results/images-NAME.jsonl"""
import gzip
import json
import math
import resource
import sys
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from practice import IMAGE_NETS, words

NET = "CNN, Fashion-MNIST"
EPOCHS, BATCH, RATE, LAST = int(IMAGE_NETS[NET]["epochs"]), 64, 0.001, 0.01
torch.set_num_threads(1)


def read(folder, part):
    raw = [gzip.open(Path(folder, f"{part}-{kind}-ubyte.gz")).read()
           for kind in ("images-idx3", "labels-idx1")]
    x = torch.frombuffer(bytearray(raw[0][16:]), dtype=torch.uint8).view(-1, 1, 28, 28).float()
    return x, torch.frombuffer(bytearray(raw[1][8:]), dtype=torch.uint8).long()


def trained(train, test, seed):
    torch.manual_seed(seed)
    layout = torch.channels_last
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Dropout(0.25), nn.Linear(3136, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10),
    ).to(memory_format=layout)
    adam = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    x, y = train
    steps = EPOCHS * math.ceil(len(x) / BATCH)
    rate = torch.optim.lr_scheduler.LambdaLR(adam, lambda i: LAST + (1 - LAST) * 0.5 * (
        1 + math.cos(math.pi * i / (steps - 1))))
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(BATCH):
            adam.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            adam.step()
            rate.step()
    model.eval()
    with torch.no_grad():
        right = [(model(a).argmax(1) == b).sum().item()
                 for a, b in zip(test[0].split(1000), test[1].split(1000))]
    return sum(right) / len(test[0])


def main():
    folder, seeds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    train, test = read(folder, "train"), read(folder, "t10k")
    mean, deviation = train[0].mean(), train[0].std()
    train, test = (((x - mean) / deviation, y) for x, y in (train, test))
    train = train[0].to(memory_format=torch.channels_last), train[1]
    for seed in range(1, 1 + seeds):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
        right = trained(train, test, seed)
        used = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before
        print(json.dumps({"row": f"{NET}, by PyTorch {torch.__version__.split('+')[0]}",
                          "options": words(IMAGE_NETS[NET]), "test_accuracy": right,
                          "seed": seed, "cpu_seconds": round(used, 3)}), flush=True)


main()
