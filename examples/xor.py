#!/usr/bin/env python3
"""XOR from Python, with nothing but ctypes: every call of the library is a plain C function. A net
of 2-8-1 with tanh takes 500 steps of Adam on

    loss = mean (net(x) - y)^2

which is below 1e-12 in the end. Exits with 1 where it is more than 1e-6.

    xor.py LIBRARY [device]        libbpcuda.so; "auto"
"""
import ctypes
import sys
from ctypes import POINTER, byref, c_char_p, c_double, c_float, c_int32, c_int64, c_size_t, c_void_p

F32, MEAN = 1, 2


class Shape(ctypes.Structure):
    """bp_shape, which goes by value."""
    _fields_ = [('ndim', c_int32), ('dim', c_int64 * 8)]

    def __init__(self, *sizes):
        super().__init__(len(sizes), (c_int64 * 8)(*sizes))


STEP = ctypes.CFUNCTYPE(c_int32, c_void_p, c_void_p)

# What each function takes. Those whose name is in `ops` return a tensor, the others a status.
takes = {
    'bp_open': [c_char_p, POINTER(c_void_p)],
    'bp_close': [c_void_p],
    'bp_seed': [c_void_p, ctypes.c_uint64],
    'bp_error_text': [c_void_p],
    'bp_device_text': [c_void_p],
    'bp_tensor_create': [c_void_p, c_int32, Shape],
    'bp_write': [c_void_p, c_void_p, c_size_t],
    'bp_read_f32': [c_void_p, POINTER(c_float), c_int64],
    'bp_copy_into': [c_void_p, c_void_p],
    'bp_params_create': [c_void_p, c_int32, POINTER(c_void_p)],
    'bp_layers_create': [c_void_p, c_char_p, c_int64, c_char_p, POINTER(c_void_p)],
    'bp_layers_forward': [c_void_p, c_void_p, c_int32],
    'bp_mse_loss': [c_void_p, c_void_p, c_int32],
    'bp_adam_create': [c_void_p, c_double, POINTER(c_void_p)],
    'bp_backward': [c_void_p, c_void_p],
    'bp_optimizer_step': [c_void_p],
    'bp_plan_record': [c_void_p, STEP, c_void_p, POINTER(c_void_p)],
    'bp_plan_replay': [c_void_p, c_int64],
}
ops = {'bp_tensor_create', 'bp_layers_forward', 'bp_mse_loss'}


def load(path):
    lib = ctypes.CDLL(path)
    for name, arguments in takes.items():
        function = getattr(lib, name)
        function.argtypes = arguments
        text = name.endswith('_text')
        function.restype = c_void_p if name in ops else c_char_p if text else c_int32
    lib.bp_close.restype = None
    return lib


def main(path, device='auto'):
    lib, ctx = load(path), c_void_p()

    def check(status):
        if status:
            raise RuntimeError(lib.bp_error_text(ctx).decode())

    def make(function, *arguments):
        made = c_void_p()
        check(function(*arguments, byref(made)))
        return made

    def tensor(shape, values):
        t = lib.bp_tensor_create(ctx, F32, shape)
        check(lib.bp_write(t, (c_float * len(values))(*values), 4 * len(values)))
        return t

    try:
        check(lib.bp_open(device.encode(), byref(ctx)))
        check(lib.bp_seed(ctx, 1))
        x = tensor(Shape(4, 2), [0, 0, 0, 1, 1, 0, 1, 1])
        y = tensor(Shape(4, 1), [0, 1, 1, 0])
        error = tensor(Shape(), [1])
        params = make(lib.bp_params_create, ctx, F32)
        net = make(lib.bp_layers_create, params, b'', 2, b'8 tanh 1')
        adam = make(lib.bp_adam_create, params, 0.03)

        @STEP
        def step(_, __):
            loss = lib.bp_mse_loss(lib.bp_layers_forward(net, x, 1), y, MEAN)
            return (lib.bp_copy_into(error, loss) or lib.bp_backward(ctx, loss)
                    or lib.bp_optimizer_step(adam))

        plan = make(lib.bp_plan_record, ctx, step, None)  # called once; replayed without Python
        check(lib.bp_plan_replay(plan, 499))
        last = c_float()
        check(lib.bp_read_f32(error, byref(last), 1))
        print(f'{lib.bp_device_text(ctx).decode()}: error {last.value:.1e}')
        return 0 if last.value < 1e-6 else 1
    finally:
        lib.bp_close(ctx)  # the memory of what is left goes with the process


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
