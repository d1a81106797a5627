#!/usr/bin/env python3
"""Writes schedules.txt: the factors of torch.optim.lr_scheduler, for tests/test_schedules.c.

    python3 make_schedules.py > schedules.txt

A case is three lines: `schedule EPOCH_STEPS ALL TELLS text`, the TELLS measures told at the ends
of epochs, and the ALL factors. PyTorch's schedulers are stepped once a step (the one of plateaus
once an epoch); their last step is ALL - 1, where the rate is at its end."""
import torch
from torch.optim import lr_scheduler as lr


def write(text, make, all_steps, epoch_steps=1, tells=()):
    sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule, factors = make(sgd), []
    for s in range(all_steps):
        factors.append(sgd.param_groups[0]["lr"])
        sgd.step()
        if not tells:
            schedule.step()
        elif (s + 1) % epoch_steps == 0:
            schedule.step(tells[s // epoch_steps])
    print("schedule", epoch_steps, all_steps, len(tells), text)
    print(*tells)
    print(*factors)


def chained(*makes):
    return lambda o: lr.ChainedScheduler([make(o) for make in makes])


def sequence(first, at, second):
    return lambda o: lr.SequentialLR(o, [first(o), second(o)], [at])


write("constant", lambda o: lr.ConstantLR(o, 1.0), 4)
write("step=3,0.5", lambda o: lr.StepLR(o, 3, 0.5), 14)
write("step=0.3,0.5", lambda o: lr.StepLR(o, 3, 0.5), 40, 10)
write("exponential=0.9", lambda o: lr.ExponentialLR(o, 0.9), 12)
write("exponential=0.59049", lambda o: lr.ExponentialLR(o, 0.9), 20, 5)
write("inverse=4", lambda o: lr.LambdaLR(o, lambda t: 1 / (1 + t / 4)), 12)
write("polynomial=2,0", lambda o: lr.PolynomialLR(o, 11, 2.0), 12)
write("polynomial=0.5,0", lambda o: lr.PolynomialLR(o, 29, 0.5), 30, 7)
write("cosine=0.01", lambda o: lr.CosineAnnealingLR(o, 59, 0.01), 60, 10)
write("cosine=0.05,4", lambda o: lr.CosineAnnealingWarmRestarts(o, 4, 1, 0.05), 30)
write("cosine=0.05,0.3", lambda o: lr.CosineAnnealingWarmRestarts(o, 3, 1, 0.05), 30, 10)
write("cosine=0,3,2", lambda o: lr.CosineAnnealingWarmRestarts(o, 3, 2), 50)
write("warmup=5", lambda o: lr.LinearLR(o, 1 / 5, 1, 4), 12)
write("warmup=1.5", lambda o: lr.LinearLR(o, 1 / 6, 1, 5), 12, 4)
write("warmup=5 after=5 cosine=0.1", sequence(lambda o: lr.LinearLR(o, 1 / 5, 1, 4), 5,
                                              lambda o: lr.CosineAnnealingLR(o, 24, 0.1)), 30)
write("constant after=4 exponential=0.8", sequence(lambda o: lr.ConstantLR(o, 1.0), 4,
                                                   lambda o: lr.ExponentialLR(o, 0.8)), 12)
write("onecycle=0.04,0.000004", lambda o: lr.OneCycleLR(o, 1.0, 50), 50, 10)
write("cosine=0 step=10,0.5", chained(lambda o: lr.CosineAnnealingLR(o, 39),
                                      lambda o: lr.StepLR(o, 10, 0.5)), 40)
write("plateau=0.5,2", lambda o: lr.ReduceLROnPlateau(o, factor=0.5, patience=2), 42, 3,
      [5, 4, 4, 3.9999, 3.9998, 2, 3, 2, 2, 2, 2, 2, 1, float("nan")])
