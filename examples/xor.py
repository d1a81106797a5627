#!/usr/bin/env python3
"""XOR from Python, with nothing but the one file python/bpcuda.py: a net of 2-8-1 with tanh takes
500 steps of Adam on

    loss = mean (net(x) - y)^2

which is below 1e-12 in the end. Exits with 1 where it is more than 1e-6.

    xor.py LIBRARY [device]        libbpcuda.so; "auto"
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'python'))
import bpcuda  # noqa: E402


def main(path, device='auto'):
    bpcuda.load(path)
    ctx = bpcuda.Context(device, seed=1)
    data = bpcuda.Data(ctx, [[0, 0], [0, 1], [1, 0], [1, 1]], [0.0, 1.0, 1.0, 0.0])
    model = bpcuda.Model(ctx, 2, '8 tanh', 1, task='regression')
    bpcuda.Trainer(model, data, epochs=500, lr=0.03).run()
    error, _ = model.evaluate(data)
    print(f'{ctx.device}: error {error:.1e}')
    return 0 if error < 1e-6 else 1


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
