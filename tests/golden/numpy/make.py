#!/usr/bin/env python3
"""Writes the NPZ files that test_npy.c reads, by NumPy itself, into this folder."""
import pathlib

import numpy

here = pathlib.Path(__file__).resolve().parent
arrays = {
    "x": numpy.arange(24, dtype=numpy.float64).reshape(4, 3, 2) / 8,
    "y": numpy.array([2, 0, 1, 2]),
    "weight": numpy.array([1, 0.5, 0, 2], dtype=numpy.float32),
    "seen": numpy.array([[True, False], [False, True], [True, True], [False, False]]),
    "step": numpy.array([7, -7, 1, 2147483647], dtype=numpy.int32),
}
numpy.savez(here / "stored.npz", **arrays)
numpy.savez_compressed(here / "deflated.npz", **arrays)
